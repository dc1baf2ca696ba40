"""From which distance in pixels on is a picture no copy? Calibrated on the real images themselves."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.evaluation.pixels import SIDE_PX, Mirrored, Patterns, likeness
from models.imaging.arrays import eight_bit

#: The candidates for each image: indices (n, c) of the real images that may be it, `pixels.likeness` is slow for more.
Candidates = npt.NDArray[np.int64]

#: A correlation below one half shows no copy, however unlike each other the real images are.
_LARGEST_THRESHOLD = 0.5
#: What a handled copy may differ by at most before it says more about the image (flat, noise only) than about copies.
_LARGEST_HANDLING = 0.3
_CALIBRATED = 256
_BRIGHTER, _NOISE = 20.0, 8.0  # grey levels
_MOVED = ((2.5, 2.5), (-5.5, 4.5))  # px of 64, down and right: half pixels are the hardest to find again


def pixel_threshold(
    images: Sequence[Image.Image], reals: Mirrored, candidates: Candidates, percentile: float = 5.0
) -> float:
    """The distance in (0, 0.5] below which a picture is a copy of one of ``images``.

    It is the ``percentile``-th percentile of the distances from each real image to its nearest other one, where images
    that repeat another are counted once. Crops of one strip that overlap repeat each other, too: a pair counts as one
    picture when it is no farther apart than a real image from a handled copy of itself (moved by 4 and 11 % of the
    side, brighter by 20 grey levels, with noise of 8), at the 95th percentile of the real images. So the threshold
    also lies above what such handling does. At most 256 images, evenly spaced, are looked at.
    """
    chosen = np.unique(np.linspace(0, len(images) - 1, min(len(images), _CALIBRATED)).astype(np.int64))
    handling = _handling_distance(images, reals, chosen)
    nearest = _nearest_others(reals.each[0], chosen, reals, candidates, handling)
    return min(float(np.percentile(nearest, percentile)) if nearest else handling, _LARGEST_THRESHOLD)


def handled(image: Image.Image, moved_by: tuple[float, float], rng: np.random.Generator) -> Image.Image:
    """``image`` moved by shares of its height and width (its border mirrored), brighter and noisy."""
    grey = np.asarray(eight_bit(image).convert("L"), dtype=np.float32)
    down, right = (round(share * side) for share, side in zip(moved_by, grey.shape, strict=True))
    rows, columns = (_mirrored(side, by) for side, by in zip(grey.shape, (down, right), strict=True))
    values = grey[np.ix_(rows, columns)] + _BRIGHTER + rng.normal(0.0, _NOISE, grey.shape)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _mirrored(side: int, moved_by: int) -> npt.NDArray[np.int64]:
    """Where each row of the moved picture comes from."""
    index = (np.arange(side) - moved_by) % (2 * side)
    return np.where(index < side, index, 2 * side - 1 - index)


def _handling_distance(images: Sequence[Image.Image], reals: Mirrored, chosen: npt.NDArray[np.int64]) -> float:
    """How far a handled copy strays: the 95th percentile over the ``chosen`` images of the farther of two copies."""
    rng = np.random.default_rng(0)
    farthest = np.zeros(len(chosen))
    for down, right in _MOVED:
        copies = Patterns.of(handled(images[int(index)], (down / SIDE_PX, right / SIDE_PX), rng) for index in chosen)
        own = [likeness(copies, row, reals, chosen[row : row + 1]).distances[0] for row in range(len(chosen))]
        farthest = np.maximum(farthest, own)
    return min(float(np.percentile(farthest, 95)), _LARGEST_HANDLING)


def _nearest_others(
    patterns: Patterns, chosen: npt.NDArray[np.int64], reals: Mirrored, candidates: Candidates, same_below: float
) -> list[float]:
    """Distance of each image to the nearest that is another picture; repeats of an earlier one are left out."""
    nearest = []
    for index in chosen:
        others = candidates[index][candidates[index] != index]
        distances = likeness(patterns, int(index), reals, others).distances if len(others) else np.zeros(0)
        repeats = distances <= same_below
        if len(others) and not repeats.all() and not (others[repeats] < index).any():
            nearest.append(float(distances[~repeats].min()))
    return nearest
