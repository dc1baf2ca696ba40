"""Is a synthetic image a copy of a real one? Distances to the nearest real image, in feature space."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import DatasetUnusable
from models.evaluation.features import Features

#: Real images nearer than this share of the typical real-to-real distance are the same picture, saved twice ...
_DUPLICATE_SHARE = 1e-3
#: ... and so are those nearer than this share of the features' length, which is float32 noise of the extractor.
_NOISE_SHARE = 1e-6
_BLOCK = 1024


@dataclass(frozen=True)
class Nearest:
    """For each of N images: ``indices`` (N,) int64 of the nearest real one, ``distances`` (N,) float64 to it."""

    indices: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]


@dataclass(frozen=True)
class CopyCheck:
    """Image by image: ``nearest_indices`` among the real ones, ``distances``, and whether it ``passes``.

    An image passes when it is at least ``threshold`` away from every real image; ``share_passing`` in [0, 1].
    """

    threshold: float
    num_real: int
    nearest_indices: tuple[int, ...]
    distances: tuple[float, ...]
    passes: tuple[bool, ...]
    share_passing: float


def check_copies(synthetic_features: Features, real_features: Features, percentile: float = 5.0) -> CopyCheck:
    """Judge ``synthetic_features`` (n, d) against ``real_features`` (m, d).

    The real ones must hold every image that could have been copied: the sources and the adapter's training images.
    Raises `DatasetUnusable` as `copy_threshold` does.
    """
    threshold = copy_threshold(real_features, percentile)
    nearest = nearest_real(synthetic_features, real_features)
    passes = nearest.distances >= threshold
    return CopyCheck(
        threshold=threshold,
        num_real=len(real_features),
        nearest_indices=tuple(int(index) for index in nearest.indices),
        distances=tuple(float(distance) for distance in nearest.distances),
        passes=tuple(bool(passed) for passed in passes),
        share_passing=float(passes.mean()) if len(passes) else 1.0,
    )


def nearest_real(synthetic_features: Features, real_features: Features) -> Nearest:
    """The nearest of ``real_features`` (m, d) to each of ``synthetic_features`` (n, d), by Euclidean distance."""
    if not len(real_features):
        raise DatasetUnusable("There is no real image to compare with.", field="real", remedy="Add real images.")
    indices, distances = [np.zeros(0, np.int64)], [np.zeros(0)]
    for _, block in _distance_blocks(synthetic_features, real_features):
        nearest = block.argmin(axis=1)
        indices.append(nearest)
        distances.append(block[np.arange(len(block)), nearest])
    return Nearest(np.concatenate(indices), np.concatenate(distances))


def copy_threshold(real_features: Features, percentile: float = 5.0) -> float:
    """The ``percentile``-th percentile of the distances from each real image to its nearest other real image.

    Images that are there twice are counted once, or the threshold would be 0 and every copy would pass. By this choice
    an unseen real image passes with a chance of about 1 - percentile / 100. Raises `DatasetUnusable` for fewer than
    two different images.
    """
    distinct = real_features[_first_of_each(real_features)]
    if len(distinct) < 2:
        raise DatasetUnusable(
            f"{len(real_features)} real images, of which {len(distinct)} differ: too few to say what a copy is.",
            field="real", remedy="Add different real images of this class.",
        )  # fmt: skip
    nearest = np.empty(len(distinct))
    for first, block in _distance_blocks(distinct, distinct):
        rows = np.arange(len(block))
        block[rows, first + rows] = np.inf
        nearest[first : first + len(block)] = block.min(axis=1)
    return float(np.percentile(nearest, percentile))


def _first_of_each(features: Features) -> npt.NDArray[np.int64]:
    """Indices of the images that repeat none before them."""
    count = len(features)
    if count < 2:
        return np.arange(count)
    typical_distance = np.sqrt(2.0 * features.astype(np.float64).var(axis=0).sum())
    typical_length = np.sqrt(np.square(features.astype(np.float64)).sum(axis=1).mean())
    tolerance = float(_DUPLICATE_SHARE * typical_distance + _NOISE_SHARE * typical_length)
    repeats = np.zeros(count, dtype=bool)
    for first, block in _distance_blocks(features, features):
        columns = np.arange(count)
        for row in range(len(block)):
            earlier = (columns < first + row) & ~repeats
            repeats[first + row] = bool((block[row, earlier] <= tolerance).any())
    return np.flatnonzero(~repeats)


def _distance_blocks(x: Features, y: Features) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """(index of the first row, Euclidean distances (rows, m)) for blocks of rows of ``x``."""
    # Relative to one centre: the squares then hold no large common part that would cost digits.
    center = y.mean(axis=0)
    x, y = x.astype(np.float64) - center, y.astype(np.float64) - center
    squares = np.square(y).sum(axis=1)
    for first in range(0, len(x), _BLOCK):
        rows = x[first : first + _BLOCK]
        squared = np.square(rows).sum(axis=1)[:, None] + squares[None, :] - 2.0 * rows @ y.T
        yield first, np.sqrt(np.maximum(squared, 0.0))
