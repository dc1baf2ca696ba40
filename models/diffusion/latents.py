"""Between pictures and latents: the VAE's mode, scaled, in batches."""

from collections.abc import Iterable, Sequence

import torch
from PIL import Image

from models.diffusion.base_model import BaseModel
from models.imaging.arrays import to_image, to_tensor
from models.imaging.fit import FitPolicy

_PIXELS = 8 * 128 * 128


def at_once(base: BaseModel) -> int:
    """Images that the VAE is given at once: its widest layers hold more than a hundred times an image's pixels."""
    return max(1, _PIXELS // base.native_size_px**2)


@torch.no_grad()
def encode(base: BaseModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """The mode of the VAE's posterior, scaled: (B, 3, H, W) float32 in [-1, 1] -> (B, C, H/f, W/f) float32.

    Stock diffusers samples the posterior here; the mode is what makes a source's latents the same every time.
    """
    scale = float(base.vae.config.scaling_factor)
    batches = (batch.to(base.device, base.dtype) for batch in pixel_values.split(at_once(base)))
    parts = [base.vae.encode(batch).latent_dist.mode().float() for batch in batches]
    return torch.cat(parts).to(base.device) * scale


@torch.no_grad()
def decode(base: BaseModel, latents: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) scaled latents -> (B, 3, H, W) float32, about [-1, 1], not clamped."""
    scale = float(base.vae.config.scaling_factor)
    batches = ((batch / scale).to(base.device, base.dtype) for batch in latents.split(at_once(base)))
    return torch.cat([base.vae.decode(batch).sample.float() for batch in batches])


def fitted(base: BaseModel, images: Sequence[Image.Image], policy: FitPolicy) -> torch.Tensor:
    """Pictures of any size at the model's native one: (B, 3, H, W) float32 in [-1, 1]."""
    return torch.stack([to_tensor(image, base.native_size_px, policy) for image in images])


def round_trip(base: BaseModel, images: Iterable[Image.Image], policy: FitPolicy) -> list[Image.Image]:
    """What is left of ``images`` after encoding and decoding, at native size: what plain copying would deliver."""
    small, modes = zip(*((fitted(base, [image], policy), image.mode) for image in images), strict=True)
    decoded = decode(base, encode(base, torch.cat(small)))
    side = (base.native_size_px, base.native_size_px)
    return [to_image(pixels.cpu(), mode, side) for pixels, mode in zip(decoded, modes, strict=True)]
