"""Kernel distance between two sets of features (KID, arXiv 1801.01401), unbiased at any number of images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import DatasetUnusable, InvalidSettings
from models.evaluation.features import Features

_BLOCK = 1024
_LARGEST_SUBSET = 1000
#: Up to so many images a side the kernels of all pairs are kept: three matrices of 128 MiB at most.
_LARGEST_WHOLE = 4096

#: Numbers of rows.
Indices = npt.NDArray[np.int64]
#: (n, m) bool: pairs of a row of x and a row of y that are not compared.
Pairs = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class KidScore:
    """``kid``: unbiased MMD^2 (may be below 0). ``kid_std``: its spread over ``num_subsets`` random subsets.

    ``subset_size`` counts the images of a subset on the smaller side.
    """

    kid: float
    kid_std: float
    subset_size: int
    num_subsets: int


def kernel_distance(
    x: Features, y: Features, subset_size: int | None = None, num_subsets: int = 100, seed: int = 0,
    left_out: Pairs | None = None,
) -> KidScore:  # fmt: skip
    """Unbiased MMD^2 of ``x`` (n, d) and ``y`` (m, d) under the kernel (a.b / d + 1)^3, with its spread.

    ``left_out``: pairs that are not compared, such as an image of ``y`` and the one of ``x`` that it was made of. Where
    every source is in ``x``, this estimates what images that are independent of ``y`` would give: without it, copies
    score below 0.

    The value uses all images. A mean over random subsets, as reported where n is large, estimates the same quantity
    with more variance; at 20 to 300 images there is none to give away.

    The spread is the standard deviation over random subsets without replacement. By default a subset is half of each
    side: deleting half is the jackknife whose spread equals the standard error of the full estimate (Shao and Wu 1989:
    the factor (n - k) / k is 1 at k = n / 2), so ``kid`` +- ``kid_std`` reads as one expects. A ``subset_size`` given
    is taken from both sides; from 1000 a half is cut to 1000, the field's size. A side of two images cannot be halved
    and adds nothing to the spread.

    Raises `DatasetUnusable` below two images on a side, `InvalidSettings` for subsets that cannot be drawn.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"need (n, d) and (m, d), got {x.shape} and {y.shape}")
    if min(len(x), len(y)) < 2:
        raise DatasetUnusable(
            f"KID of {len(x)} against {len(y)} images: it needs two of each.", field="images", remedy="Add images."
        )
    x, y = x.astype(np.float64), y.astype(np.float64)
    sizes = _subset_sizes(len(x), len(y), subset_size, num_subsets)
    rng = np.random.default_rng(seed)
    estimate = mmd_of_rows(x, y, left_out)
    subsets = ((rng.permutation(len(x))[: sizes[0]], rng.permutation(len(y))[: sizes[1]]) for _ in range(num_subsets))
    values = [estimate(*subset) for subset in subsets]
    whole = estimate(np.arange(len(x)), np.arange(len(y)))
    return KidScore(whole, float(np.nanstd(values)), min(sizes), num_subsets)


def kernel_noise(
    x: Features, y: Features, num_subsets: int = 100, seed: int = 0, left_out: Pairs | None = None
) -> float:
    """The part of KID's spread that comes from ``y`` (m, d) alone, by halves of it against all of ``x`` (n, d).

    Sets compared with one and the same ``x`` share the rest, which therefore says nothing about their differences.
    0 where ``y`` is too small to be halved.
    """
    half = len(y) // 2
    if half < 2:
        return 0.0
    x, y = x.astype(np.float64), y.astype(np.float64)
    rng, every = np.random.default_rng(seed), np.arange(len(x))
    estimate = mmd_of_rows(x, y, left_out)
    return float(np.nanstd([estimate(every, rng.permutation(len(y))[:half]) for _ in range(num_subsets)]))


def squared_mmd(x: Features, y: Features) -> float:
    """The unbiased estimate alone: mean k(x, x') over x != x' + mean k(y, y') over y != y' - 2 mean k(x, y)."""
    n, m = len(x), len(y)
    within_x = (_kernel_sum(x, x) - _diagonal_sum(x)) / (n * (n - 1))
    within_y = (_kernel_sum(y, y) - _diagonal_sum(y)) / (m * (m - 1))
    return within_x + within_y - 2.0 * _kernel_sum(x, y) / (n * m)


def kernel_spread(x: Features) -> float:
    """How far images lie from each other, for rows of ``x`` (n, d), n > 1: mean k(x, x) - mean k(x, x') over x != x'.

    Half of the mean squared distance of two of them in the kernel's space, and so a measure for KID.
    """
    n = len(x)
    diagonal = _diagonal_sum(x)
    return diagonal / n - (_kernel_sum(x, x) - diagonal) / (n * (n - 1))


def mmd_of_rows(x: Features, y: Features, left_out: Pairs | None = None) -> Callable[[Indices, Indices], float]:
    """`squared_mmd` of rows of ``x`` (n, d) and of ``y`` (m, d), given by their numbers.

    The kernels of all pairs are computed once where they have room in memory: a matrix for each subset would multiply
    features of 2048 dimensions a hundred times over. NaN where all pairs of a subset are left out.
    """
    if max(len(x), len(y)) > _LARGEST_WHOLE and left_out is None:
        return lambda in_x, in_y: squared_mmd(x[in_x], y[in_y])
    within_x, within_y, across = polynomial_kernel(x, x), polynomial_kernel(y, y), polynomial_kernel(x, y)
    counted = np.ones(across.shape) if left_out is None else (~left_out).astype(np.float64)
    across *= counted

    def of(in_x: Indices, in_y: Indices) -> float:
        pairs = np.ix_(in_x, in_y)
        num_pairs = float(counted[pairs].sum())
        mean_across = float(across[pairs].sum()) / num_pairs if num_pairs else np.nan
        within = _mean_of_pairs(within_x[np.ix_(in_x, in_x)]) + _mean_of_pairs(within_y[np.ix_(in_y, in_y)])
        return within - 2.0 * mean_across

    return of


def _mean_of_pairs(kernel: Features) -> float:
    """Of a square matrix, its diagonal left out."""
    count = len(kernel)
    return float(kernel.sum() - np.trace(kernel)) / (count * (count - 1))


def polynomial_kernel(x: Features, y: Features) -> Features:
    """k(a, b) = (a.b / d + 1)^3 of each row of (n, d) with each of (m, d): (n, m) float64."""
    kernel: Features = (x @ y.T / x.shape[1] + 1.0) ** 3
    return kernel


def _subset_sizes(n: int, m: int, subset_size: int | None, num_subsets: int) -> tuple[int, int]:
    if num_subsets < 2:
        raise InvalidSettings(
            f"num_subsets is {num_subsets}: no spread.", field="num_subsets", remedy="Give at least 2."
        )
    if subset_size is None:
        return min(max(2, n // 2), _LARGEST_SUBSET), min(max(2, m // 2), _LARGEST_SUBSET)
    if not 2 <= subset_size < min(n, m):
        raise InvalidSettings(
            f"subset_size is {subset_size}, with {n} and {m} images.", field="subset_size",
            remedy=f"Give 2 to {min(n, m) - 1}, or leave it out.",
        )  # fmt: skip
    return subset_size, subset_size


def _kernel_sum(x: Features, y: Features) -> float:
    """Sum of the kernel over all pairs, by blocks of rows: memory stays at `_BLOCK` x m."""
    blocks = (x[first : first + _BLOCK] for first in range(0, len(x), _BLOCK))
    return sum(float(polynomial_kernel(block, y).sum()) for block in blocks)


def _diagonal_sum(x: Features) -> float:
    return float(((np.square(x).sum(axis=1) / x.shape[1] + 1.0) ** 3).sum())
