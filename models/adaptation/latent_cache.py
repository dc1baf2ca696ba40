"""The training set as latents: every image's variants encoded once, for both stages."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from PIL import Image

from models.diffusion import latents
from models.diffusion.base_model import BaseModel
from models.diffusion.seeding import generator
from models.imaging.fit import FitPolicy

_LARGEST_SHIFT = 1 / 16


def variants(pixel_values: Iterable[torch.Tensor], count: int, seed: int) -> Iterator[torch.Tensor]:
    """``count`` copies of each image (3, H, W), flipped and shifted by pre-drawn amounts.

    They come image by image; the first copy is the image as it is. A shift moves by up to
    a sixteenth of the side; what comes in at the border is the mirrored image. Shifts rather than scaled crops,
    because resampling would blur the grain.
    """
    draws = generator(seed, "variants")
    for image in pixel_values:
        yield image
        for _ in range(count - 1):
            yield _flipped_and_shifted(image, draws)


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
    """Latents of all variants of ``images``: (N * variants_per_image, C, h, w) float32, scaled, on the device.

    Pixels take far more memory than latents: they are there a batch at a time.
    """
    pixel_values = variants((latents.fitted(base, [one], fit)[0] for one in images), variants_per_image, seed)
    encoded = []
    while batch := list(islice(pixel_values, latents.at_once(base))):
        encoded.append(latents.encode(base, torch.stack(batch)))
    return torch.cat(encoded)
