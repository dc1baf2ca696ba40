"""Between pictures and latents: the VAE's mode, scaled, in batches."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from PIL import Image

from models.diffusion.base_model import BaseModel
from models.imaging.arrays import to_image, to_tensor
from models.imaging.fit import FitPolicy

BATCH = 16


def _batches(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    yield from torch.split(tensor, BATCH)


@torch.no_grad()
def encode(base: BaseModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """The mode of the VAE's posterior, scaled: (B, 3, H, W) float32 in [-1, 1] -> (B, C, H/f, W/f) float32.

    Stock diffusers samples the posterior here; the mode is what makes a source's latents the same every time.
    """
    scale = float(base.vae.config.scaling_factor)
    parts = [base.vae.encode(b.to(base.device, base.dtype)).latent_dist.mode().float() for b in _batches(pixel_values)]
    return torch.cat(parts).to(base.device) * scale


@torch.no_grad()
def decode(base: BaseModel, latents: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) scaled latents -> (B, 3, H, W) float32, about [-1, 1], not clamped."""
    scale = float(base.vae.config.scaling_factor)
    parts = [base.vae.decode((b / scale).to(base.device, base.dtype)).sample.float() for b in _batches(latents)]
    return torch.cat(parts)


def fitted(base: BaseModel, images: Sequence[Image.Image], policy: FitPolicy) -> torch.Tensor:
    """Pictures of any size at the model's native one: (B, 3, H, W) float32 in [-1, 1]."""
    return torch.stack([to_tensor(image, base.native_size_px, policy) for image in images])


def round_trip(base: BaseModel, images: Iterable[Image.Image], policy: FitPolicy) -> list[Image.Image]:
    """What is left of ``images`` after encoding and decoding, at native size: what plain copying would deliver."""
    small, modes = zip(*((fitted(base, [image], policy), image.mode) for image in images), strict=True)
    decoded = decode(base, encode(base, torch.cat(small)))
    side = (base.native_size_px, base.native_size_px)
    return [to_image(pixels.cpu(), mode, side) for pixels, mode in zip(decoded, modes, strict=True)]
