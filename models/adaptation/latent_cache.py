"""The training set as latents: every image's variants encoded once, for both stages and for a run that goes on."""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from models.diffusion import latents
from models.diffusion.base_model import BaseModel
from models.diffusion.seeding import generator
from models.errors import AdapterUnusable, Interrupted
from models.imaging.fit import FitPolicy
from models.progress import Progress, no_progress
from models.tensor_file import read_tensors, write_tensors

_LARGEST_SHIFT = 1 / 16
_NAME, _IDENTITY = "latents", "identity"


class LatentFile:
    """One safetensors file, replaced by atomic rename; a file of another ``identity`` is ignored.

    ``interval_seconds``: how much work a killed job may lose.
    """

    def __init__(self, folder: Path, identity: str, interval_seconds: float) -> None:
        self._path, self._identity, self._interval_seconds = folder / "latents.safetensors", identity, interval_seconds
        self._saved_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the file is so old that more work would be lost than may be."""
        return time.monotonic() - self._saved_at > self._interval_seconds

    def save(self, latents_so_far: torch.Tensor) -> None:
        """Replace the file. Raises ``OSError`` where it cannot be written."""
        write_tensors(self._path, {_NAME: latents_so_far.cpu()}, {_IDENTITY: self._identity})
        self._saved_at = time.monotonic()

    def load(self) -> torch.Tensor | None:
        """What was encoded before, (n, C, h, w) float32 on the CPU, if there is a readable file."""
        try:
            tensors, metadata = read_tensors(self._path)
        except AdapterUnusable:
            return None
        return tensors.get(_NAME) if metadata.get(_IDENTITY) == self._identity else None


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
    base: BaseModel, images: Sequence[Image.Image], fit: FitPolicy, variants_per_image: int, seed: int,
    file: LatentFile | None = None, progress: Progress = no_progress,
) -> torch.Tensor:  # fmt: skip
    """Latents of all variants of ``images``: (N * variants_per_image, C, h, w) float32, scaled, on the device.

    Pixels take far more memory than latents: they are there a batch at a time. What ``file`` holds is not encoded
    again. ``progress`` is told after each batch of how many images are done; what it raises passes through.
    """
    pixel_values = variants((latents.fitted(base, [one], fit)[0] for one in images), variants_per_image, seed)
    known = file.load() if file is not None else None
    encoded = [] if known is None else [known.to(base.device)]
    num_done, num_variants = sum(map(len, encoded)), len(images) * variants_per_image
    progress("caching_latents", num_done // variants_per_image, len(images))
    if num_done == num_variants:
        return encoded[0]
    pixel_values = islice(pixel_values, num_done, None)
    while batch := list(islice(pixel_values, latents.at_once(base))):
        # In the order of memory that the file gives back: another one rounds the U-Net's sums otherwise.
        encoded.append(latents.encode(base, torch.stack(batch)).contiguous())
        num_done += len(batch)
        try:
            progress("caching_latents", num_done // variants_per_image, len(images))
        except Interrupted:
            _save(file, encoded)
            raise
        if num_done == num_variants or (file is not None and file.is_due):
            _save(file, encoded)
    return torch.cat(encoded)


def _save(file: LatentFile | None, encoded: Sequence[torch.Tensor]) -> None:
    if file is not None:
        file.save(torch.cat(list(encoded)))
