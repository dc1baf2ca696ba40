"""Is a synthetic image a copy of a real one? In feature space, and in pixels moved, mirrored or lit otherwise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.errors import DatasetUnusable
from models.evaluation.features import Features
from models.evaluation.pixel_threshold import Candidates, pixel_threshold
from models.evaluation.pixels import FLIPS, SIDE_PX, Flip, Likeness, Mirrored, Patterns, likeness

#: Real images nearer than this share of the typical real-to-real distance are the same picture, saved twice ...
_DUPLICATE_SHARE = 1e-3
#: ... and so are those nearer than this share of the features' length, which is float32 noise of the extractor.
_NOISE_SHARE = 1e-6
_BLOCK = 1024
#: Each image is compared in pixels with its own source and so many real images, those nearest in feature space.
_COMPARED_IN_PIXELS = 256


@dataclass(frozen=True)
class CopyVerdict:
    """Is it a copy, and of which real image?

    ``nearest_index``: the real image it is most like, measured by how far below (or above) the thresholds it is; its
    own source first, if it is a copy of that. The distances are to that image: Euclidean in feature space, and in
    pixels as in `pixels`, at ``flip`` and with the real image moved ``shift_px`` (right, down) in px of the picture.
    ``feature_threshold`` is None where features decide nothing (one real image).
    """

    is_copy: bool
    by: Literal["features", "pixels"] | None
    nearest_index: int
    feature_distance: float
    feature_threshold: float | None
    pixel_distance: float
    pixel_threshold: float
    flip: Flip
    shift_px: tuple[int, int]


@dataclass(frozen=True)
class CopyGate:
    """Rejects what is nearer to a real image than real images are to each other, in features or in pixels.

    Each rule alone lets an unseen real image pass with a chance of about 1 - ``percentile`` / 100 where there are many
    real ones; both together reject up to twice as many. With twenty it depends on which: of 40 unseen images of each
    class of NEU, over five draws of twenty, 4 % were called copies on average at the 5th percentile, 13 % in the mean
    of one class, and 20 % at worst.
    """

    features: Features
    feature_threshold: float | None
    mirrored: Mirrored
    pixel_threshold: float
    percentile: float

    @classmethod
    def fit(cls, images: Sequence[Image.Image], features: Features, percentile: float = 5.0) -> Self:
        """Learn both thresholds from all real images that could be copied, with their features (m, d).

        Thresholds: `copy_threshold` and `pixel_threshold`. One image, or the same one over and over, gives no feature
        threshold; pixels still find its copies. Raises `DatasetUnusable` for no image.
        """
        if len(images) != len(features):
            raise ValueError(f"{len(images)} images but {len(features)} rows of features")
        if not images:
            raise DatasetUnusable("There is no real image to compare with.", field="real", remedy="Add real images.")
        mirrored = Mirrored.of(images)
        distinct = len(first_of_each(features)) > 1
        in_features = copy_threshold(features, percentile) if distinct else None
        in_pixels = pixel_threshold(images, mirrored, _candidates(features, features), percentile)
        return cls(features, in_features, mirrored, in_pixels, percentile)

    @property
    def num_real(self) -> int:
        """Real images that are compared with."""
        return len(self.features)

    @property
    def nbytes(self) -> int:
        """Memory that it takes: about 0.1 MB a real image."""
        return self.features.nbytes + self.mirrored.nbytes

    def judge(
        self, images: Sequence[Image.Image], features: Features, own_sources: Sequence[Sequence[int]]
    ) -> list[CopyVerdict]:
        """Verdicts on ``images`` with ``features`` (n, d); ``own_sources``: indices of the real ones each began as."""
        if not len(images) == len(features) == len(own_sources):
            raise ValueError(f"{len(images)} images, {len(features)} rows of features, {len(own_sources)} sources")
        patterns = Patterns.of(images)
        distances = [row for _, block in distance_blocks(features, self.features) for row in block]
        candidates = _candidates(features, self.features)
        verdicts = []
        for index, (image, own) in enumerate(zip(images, own_sources, strict=True)):
            compared = np.union1d(candidates[index], np.asarray(own, dtype=np.int64))
            alike = likeness(patterns, index, self.mirrored, compared if len(compared) < self.num_real else None)
            verdicts.append(self._verdict(image, distances[index][compared], compared, alike, own))
        return verdicts

    def _verdict(
        self,
        image: Image.Image,
        distances: npt.NDArray[np.float64],
        compared: npt.NDArray[np.int64],
        alike: Likeness,
        own: Sequence[int],
    ) -> CopyVerdict:
        in_pixels = alike.distances / self.pixel_threshold
        in_features = np.full(len(distances), np.inf)
        if self.feature_threshold is not None:
            in_features = distances / self.feature_threshold
        nearness = np.minimum(in_features, in_pixels)
        at = int(nearness.argmin())
        copied = [place for place in np.searchsorted(compared, own) if nearness[place] < 1.0]
        if copied:
            at = int(min(copied, key=lambda place: nearness[place]))
        is_copy = bool(nearness[at] < 1.0)
        down, right = alike.shifts_px[at] / SIDE_PX
        return CopyVerdict(
            is_copy=is_copy,
            by=None if not is_copy else "features" if in_features[at] < 1.0 else "pixels",
            nearest_index=int(compared[at]),
            feature_distance=float(distances[at]),
            feature_threshold=self.feature_threshold,
            pixel_distance=float(alike.distances[at]),
            pixel_threshold=self.pixel_threshold,
            flip=FLIPS[alike.flips[at]],
            shift_px=(round(right * image.width), round(down * image.height)),
        )


def copy_threshold(real_features: Features, percentile: float = 5.0) -> float:
    """The ``percentile``-th percentile of the distances from each real image to its nearest other real image.

    Images that are there twice are counted once, or the threshold would be 0 and every copy would pass. By this choice
    an unseen real image passes with a chance of about 1 - percentile / 100 on average; of twenty images the percentile
    is hardly more than the least distance, and the chance differs much between draws. Raises `DatasetUnusable` for
    fewer than two different images.
    """
    distinct = real_features[first_of_each(real_features)]
    if len(distinct) < 2:
        raise DatasetUnusable(
            f"{len(real_features)} real images, of which {len(distinct)} differ: too few to say what a copy is.",
            field="real", remedy="Add different real images of this class.",
        )  # fmt: skip
    nearest = np.empty(len(distinct))
    for first, block in distance_blocks(distinct, distinct):
        rows = np.arange(len(block))
        block[rows, first + rows] = np.inf
        nearest[first : first + len(block)] = block.min(axis=1)
    return float(np.percentile(nearest, percentile))


def _candidates(features: Features, real_features: Features) -> Candidates:
    """(n, c): for each row of ``features`` the indices, ascending, of the c nearest real images."""
    count = min(_COMPARED_IN_PIXELS, len(real_features))
    if count == len(real_features):
        return np.broadcast_to(np.arange(count), (len(features), count))
    blocks = [np.argpartition(block, count)[:, :count] for _, block in distance_blocks(features, real_features)]
    return np.sort(np.concatenate(blocks), axis=1) if blocks else np.zeros((0, count), np.int64)


def first_of_each(features: Features) -> npt.NDArray[np.int64]:
    """Indices of the images whose features repeat none before them."""
    count = len(features)
    if count < 2:
        return np.arange(count)
    typical_distance = np.sqrt(2.0 * features.astype(np.float64).var(axis=0).sum())
    typical_length = np.sqrt(np.square(features.astype(np.float64)).sum(axis=1).mean())
    tolerance = float(_DUPLICATE_SHARE * typical_distance + _NOISE_SHARE * typical_length)
    repeats = np.zeros(count, dtype=bool)
    for first, block in distance_blocks(features, features):
        columns = np.arange(count)
        for row in range(len(block)):
            earlier = (columns < first + row) & ~repeats
            repeats[first + row] = bool((block[row, earlier] <= tolerance).any())
    return np.flatnonzero(~repeats)


def distance_blocks(x: Features, y: Features) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """(index of the first row, Euclidean distances (rows, m)) for blocks of rows of ``x``."""
    # Relative to one centre: the squares then hold no large common part that would cost digits.
    center = y.mean(axis=0)
    x, y = x.astype(np.float64) - center, y.astype(np.float64) - center
    squares = np.square(y).sum(axis=1)
    for first in range(0, len(x), _BLOCK):
        rows = x[first : first + _BLOCK]
        squared = np.square(rows).sum(axis=1)[:, None] + squares[None, :] - 2.0 * rows @ y.T
        yield first, np.sqrt(np.maximum(squared, 0.0))
