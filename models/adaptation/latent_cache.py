"""The training set as latents: every image's variants encoded once, for both stages."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from PIL import Image

from models.diffusion import latents
from models.diffusion.base_model import BaseModel
from models.diffusion.seeding import generator
from models.imaging.fit import FitPolicy

_LARGEST_SHIFT = 1 / 16


def variants(pixel_values: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """``count`` copies of each image, flipped and shifted by pre-drawn amounts.

    (N, 3, H, W) -> (N * count, 3, H, W), image by image; the first copy is the image as it is. A shift moves by up to
    a sixteenth of the side; what comes in at the border is the mirrored image. Shifts rather than scaled crops,
    because resampling would blur the grain.
    """
    draws = generator(seed, "variants")
    made = []
    for image in pixel_values:
        made.append(image)
        for _ in range(count - 1):
            made.append(_flipped_and_shifted(image, draws))
    return torch.stack(made)


def _flipped_and_shifted(image: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    height, width = image.shape[1:]
    margin = int(min(height, width) * _LARGEST_SHIFT)
    flips = [dim for dim, flip in zip((1, 2), torch.rand(2, generator=draws) < 0.5, strict=True) if flip]
    padded = F.pad(image.flip(flips)[None], (margin,) * 4, mode="reflect")[0]
    top, left = (int(value) for value in torch.randint(0, 2 * margin + 1, (2,), generator=draws))
    return padded[:, top : top + height, left : left + width]


def cached_latents(
    base: BaseModel, images: Sequence[Image.Image], fit: FitPolicy, variants_per_image: int, seed: int
) -> torch.Tensor:
    """Latents of all variants of ``images``: (N * variants_per_image, C, h, w) float32, scaled, on the device."""
    pixel_values = variants(latents.fitted(base, images, fit), variants_per_image, seed)
    return latents.encode(base, pixel_values)
