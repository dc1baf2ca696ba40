"""Feature extractors: what turns a picture into the point that FID, KID and the copy check measure with.

Kinds: `mini` (bundled), `inception` and `dinov2`, opened by `models.evaluation.extractors`.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from models.errors import ExtractorUnusable
from models.imaging.arrays import to_pixel_values

#: A batch holds no more values than this, 64 MiB, but for a picture that has more by itself.
_BATCH_VALUES = 2**24

#: (N, d) float64, one row an image.
Features = npt.NDArray[np.float64]


class FeatureExtractor(Protocol):
    """A frozen network. Scores of two extractors are never comparable, so it states who it is."""

    @property
    def name(self) -> str:
        """Registered name, such as ``mini``."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the weights file, hexadecimal."""
        ...

    @property
    def resize_rule(self) -> str:
        """How pictures of another size are brought to the network's own, in words."""
        ...

    @property
    def dim(self) -> int:
        """Number of features d."""
        ...

    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 in [-1, 1] -> (B, d) float32."""
        ...


def extract(
    extractor: FeatureExtractor, images: Iterable[Image.Image | torch.Tensor], batch_size: int = 32
) -> Features:
    """Features of ``images``, in their order: (N, d) float64.

    An item is a picture of any size and mode, or a batch (B, 3, H, W) float32 in [-1, 1]. Give delivered pictures
    rather than unrounded tensors where they exist: rounding to 8 bit is part of what is judged. Raises
    `ExtractorUnusable` when a feature is not finite.
    """
    rows = [extractor(batch).detach().to("cpu", torch.float64).numpy() for batch in _batches(images, batch_size)]
    features = np.concatenate(rows) if rows else np.zeros((0, extractor.dim))
    if not np.isfinite(features).all():
        raise ExtractorUnusable(
            f"Extractor {extractor.name} gave features that are not finite.", field="extractor",
            remedy="Its weights are damaged: install them again.",
        )  # fmt: skip
    return features


def _batches(images: Iterable[Image.Image | torch.Tensor], batch_size: int) -> Iterator[torch.Tensor]:
    """Neighbouring pictures of one size go together, so that the extractor alone resizes; large ones in few."""
    waiting: list[torch.Tensor] = []
    for image in images:
        for single in image if isinstance(image, torch.Tensor) else (to_pixel_values(image),):
            full = len(waiting) == max(1, min(batch_size, _BATCH_VALUES // single.numel()))
            if waiting and (full or waiting[0].shape != single.shape):
                yield torch.stack(waiting)
                waiting = []
            waiting.append(single)
    if waiting:
        yield torch.stack(waiting)
