"""95 % intervals: how far a score would move with other images of the same kind. By bootstrap, but FID by jackknife.

KID, density and coverage: real and synthetic images are drawn anew with replacement (bootstrap, Efron 1979), as
weights: how often each was drawn. A pair of an image with its own repeat is no pair of two images and has weight 0 in
KID, so that a replicate is as unbiased as KID itself. A replicate holds fewer different images, which lowers coverage,
so the percentiles are centred on the score. Density and coverage keep the balls of the real images as they are, since
repeats would shrink them; how the balls themselves would vary is not in their intervals.

FID: repeats raise it and widen its spread, at few images to about twice the true one. So four fifths of each side are
drawn without replacement, and the spread of these is scaled to that of the whole (delete-d jackknife, Shao and Wu 1989:
variance times (n - d) / d). At few images it is still somewhat too wide rather than too narrow.

An interval tells the spread at these numbers of images. It does not contain the bias that FID has at few images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import InvalidSettings
from models.evaluation.density import membership, neighbours
from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import polynomial_kernel, squared_mmd

#: Fewer images cannot tell how much another draw would differ.
MIN_IMAGES = 5
#: A standard deviation needs fewer replicates than the outer percentiles: its own error is 7 % here.
_FID_REPLICATES = 100
_FID_SHARE = 0.8
#: A normal distribution's 97.5th percentile.
NORMAL_QUANTILE = 1.96
_BLOCK = 1024

_Weights = npt.NDArray[np.float64]
_Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """From ``low`` to ``high``, at 95 %."""

    low: float
    high: float


@dataclass(frozen=True)
class ScoreIntervals:
    """The intervals of the four scores of one pair of sets."""

    fid: Interval
    kid: Interval
    density: Interval
    coverage: Interval


def score_intervals(
    real: Features, synthetic: Features, num_replicates: int = 1000, seed: int = 0
) -> ScoreIntervals | None:
    """Intervals for ``synthetic`` (m, d) against ``real`` (n, d); None with fewer than 5 images on a side.

    Memory grows with the number of images: pairs within a side are looked at by blocks. Time grows with its square.
    """
    if num_replicates < 100:
        raise InvalidSettings(
            f"num_replicates is {num_replicates}: no percentiles.", field="num_replicates", remedy="Give 100 or more."
        )
    if min(len(real), len(synthetic)) < MIN_IMAGES:
        return None
    weights = _drawn(len(real), num_replicates, seed), _drawn(len(synthetic), num_replicates, seed + 1)
    density, coverage = _density_intervals(real, synthetic, *weights)
    return ScoreIntervals(
        fid=fid_interval(real, synthetic, seed=seed),
        kid=_kid_interval(real.astype(np.float64), synthetic.astype(np.float64), *weights),
        density=density,
        coverage=coverage,
    )


def fid_interval(real: Features, synthetic: Features, num_replicates: int = _FID_REPLICATES, seed: int = 0) -> Interval:
    """FID +- 1.96 standard errors, cut at 0."""
    rng = np.random.default_rng(seed)
    sizes = [len(real), len(synthetic)]
    kept = [max(2, round(_FID_SHARE * size)) for size in sizes]
    subsets = [
        [np.sort(rng.permutation(size)[:count]) for size, count in zip(sizes, kept, strict=True)]
        for _ in range(num_replicates)
    ]
    replicates = np.array(list(fid_of_subsets(real.astype(np.float64), synthetic.astype(np.float64), subsets)))
    scale = np.sqrt(np.mean([count / (size - count) for size, count in zip(sizes, kept, strict=True)]))
    value, reach = frechet_distance(real, synthetic), NORMAL_QUANTILE * float(scale * replicates.std(ddof=1))
    return Interval(max(0.0, value - reach), value + reach)


def kid_interval(real: Features, other: Features, num_replicates: int = 1000, seed: int = 0) -> Interval:
    """The interval of KID alone, of ``other`` (m, d) against ``real`` (n, d)."""
    weights = _drawn(len(real), num_replicates, seed), _drawn(len(other), num_replicates, seed + 1)
    return _kid_interval(real.astype(np.float64), other.astype(np.float64), *weights)


def _drawn(count: int, num_replicates: int, seed: int) -> _Weights:
    """(B, count): how often each image was drawn in ``count`` draws; at least two different ones are."""
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(count, np.full(count, 1.0 / count), size=num_replicates).astype(np.float64)
    # One image drawn over and over happens with fewer than a handful of images only, and has no spread to tell.
    weights[weights.max(axis=1) == count] = 1.0
    return weights


def _kid_interval(x: Features, y: Features, weights_x: _Weights, weights_y: _Weights) -> Interval:
    """Percentiles of KID under each row of weights (B, n) and (B, m)."""
    within = _within(x, weights_x) + _within(y, weights_y)
    across = _kernel_sums(x, y, weights_x, weights_y, with_own=True) / (len(x) * len(y))
    return _centred(squared_mmd(x, y), within - 2.0 * across)


def _within(x: Features, weights: _Weights) -> _Weights:
    """(B,): mean kernel over pairs of different images, each as often as the pair was drawn."""
    pairs = weights.sum(axis=1) ** 2 - np.square(weights).sum(axis=1)
    mean: _Weights = _kernel_sums(x, x, weights, weights, with_own=False) / pairs
    return mean


def _kernel_sums(x: Features, y: Features, weights_x: _Weights, weights_y: _Weights, *, with_own: bool) -> _Weights:
    """(B,): sum of the kernel over all pairs, weighted; ``with_own`` False leaves out each image with itself.

    By blocks of columns: the kernels of ten thousand images with each other are a gigabyte.
    """
    total = np.zeros(len(weights_x))
    for first in range(0, len(y), _BLOCK):
        block = slice(first, first + _BLOCK)
        kernel = polynomial_kernel(x, y[block])
        if not with_own:
            np.fill_diagonal(kernel[first:], 0.0)
        total += ((weights_x @ kernel) * weights_y[:, block]).sum(axis=1)
    return total


def fid_of_subsets(x: Features, y: Features, subsets: Sequence[list[_Indices]]) -> Iterator[float]:
    """FID of each pair of subsets, all of the same numbers of images.

    All that it needs of the features are inner products across, norms and sums, which are computed once: a subset then
    costs no more than the singular values of its own inner products. Only where images outnumber the features is it
    computed anew.
    """
    if min(map(len, subsets[0])) > x.shape[1]:
        yield from (frechet_distance(x[in_x], y[in_y]) for in_x, in_y in subsets)
        return
    center = y.mean(axis=0)  # keeps the inner products small, so that no digits are lost
    x, y = x - center, y - center
    products = x @ y.T
    means_x, spreads_x = _means_and_spreads(x, [in_x for in_x, _ in subsets])
    means_y, spreads_y = _means_and_spreads(y, [in_y for _, in_y in subsets])
    shifts = np.square(means_x - means_y).sum(axis=1)
    for (in_x, in_y), shift, spread in zip(subsets, shifts, spreads_x + spreads_y, strict=True):
        across = products[np.ix_(in_x, in_y)]
        centred = across - across.mean(axis=0) - across.mean(axis=1)[:, None] + across.mean()
        overlap = _nuclear_norm(centred) / np.sqrt((len(in_x) - 1) * (len(in_y) - 1))
        yield float(shift + spread - 2.0 * overlap)


def _means_and_spreads(features: Features, subsets: Sequence[_Indices]) -> tuple[_Weights, _Weights]:
    """(B, d) and (B,): mean and trace of the unbiased covariance of each subset, all of one size."""
    count = len(subsets[0])
    chosen = np.zeros((len(subsets), len(features)))
    np.put_along_axis(chosen, np.stack(subsets), 1.0, axis=1)
    means = chosen @ features / count
    squares = chosen @ np.square(features).sum(axis=1)
    spreads: _Weights = (squares - count * np.square(means).sum(axis=1)) / (count - 1)
    return means, spreads


def _nuclear_norm(matrix: _Weights) -> float:
    small = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(small), 0.0)).sum())


def _density_intervals(
    real: Features, synthetic: Features, weights_x: _Weights, weights_y: _Weights
) -> tuple[Interval, Interval]:
    """Intervals of density and coverage; the balls stay as they are, since repeats would shrink them."""
    inside = membership(real, synthetic).astype(np.float64)
    hits = weights_y @ inside.T  # (B, n): how many of the synthetic images drawn lie in each ball
    density = (weights_x * hits).sum(axis=1) / (neighbours(len(real)) * len(synthetic))
    coverage = (weights_x * (hits > 0)).sum(axis=1) / len(real)
    centre_density = float(inside.sum() / (neighbours(len(real)) * len(synthetic)))
    centre_coverage = float(inside.any(axis=1).mean())
    of_density, of_coverage = _centred(centre_density, density), _centred(centre_coverage, coverage)
    return (
        Interval(max(0.0, of_density.low), of_density.high),
        Interval(max(0.0, of_coverage.low), min(1.0, of_coverage.high)),
    )


def _centred(value: float, replicates: _Weights) -> Interval:
    """Percentiles of the replicates, moved so that their mean is ``value``."""
    low, high = np.percentile(replicates, [2.5, 97.5]) - replicates.mean() + value
    return Interval(min(float(low), value), max(float(high), value))
