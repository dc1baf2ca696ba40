"""Density and coverage (Naeem et al., "Reliable fidelity and diversity metrics", ICML 2020, arXiv 2002.09797).

Around each real image X_i lies a ball as wide as the distance to its k-th nearest other real image. With N real images
and M synthetic ones Y_j:

    density  = 1 / (k M) sum_j sum_i [Y_j in ball i]      faithfulness; about 1 for unseen real images, may exceed 1
    coverage = 1 / N     sum_i [some Y_j in ball i]       variety, in [0, 1]

Unlike precision and recall, one odd real image cannot make everything look faithful.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import DatasetUnusable
from models.evaluation.copies import distance_blocks
from models.evaluation.features import Features

NEIGHBOURS = 5


@dataclass(frozen=True)
class DensityScore:
    """``num_neighbours``: k, which is 5, or all others where there are fewer than 6 real images.

    ``expected_coverage``: what as many unseen real images would cover; below 1 where they are few.
    """

    density: float
    coverage: float
    expected_coverage: float
    num_neighbours: int


def density_and_coverage(real: Features, synthetic: Features) -> DensityScore:
    """Of ``synthetic`` (m, d) against ``real`` (n, d), by Euclidean distance. Raises as `membership` does."""
    inside = membership(real, synthetic)
    k = neighbours(len(real))
    return DensityScore(
        density=float(inside.sum() / (k * len(synthetic))),
        coverage=float(inside.any(axis=1).mean()),
        expected_coverage=expected_coverage(len(real), len(synthetic)),
        num_neighbours=k,
    )


def membership(real: Features, synthetic: Features) -> npt.NDArray[np.bool_]:
    """(n, m): lies synthetic image j in the ball of real image i?

    Raises `DatasetUnusable` for fewer than two real images or no synthetic one.
    """
    if len(real) < 2 or not len(synthetic):
        raise DatasetUnusable(
            f"Density of {len(synthetic)} images among {len(real)} real ones: it needs 1 and 2.",
            field="images", remedy="Add images.",
        )  # fmt: skip
    k = neighbours(len(real))
    # The image itself is the nearest of all, so the k-th other one stands at place k.
    radii = np.concatenate([np.partition(block, k, axis=1)[:, k] for _, block in distance_blocks(real, real)])
    blocks = distance_blocks(real, synthetic)
    return np.concatenate([block <= radii[first : first + len(block), None] for first, block in blocks])


def neighbours(num_real: int) -> int:
    """k: 5, or all the others where there are fewer."""
    return min(NEIGHBOURS, num_real - 1)


def expected_coverage(num_real: int, num_synthetic: int) -> float:
    """Coverage by ``num_synthetic`` images of the same distribution: 1 - prod_{t=1..k} (N - t) / (M + N - t).

    Their ranks among the N - 1 + M other images are random; an image is left uncovered when its k nearest are all real
    (equation 8 of the paper).
    """
    steps = np.arange(1, neighbours(num_real) + 1)
    return float(1.0 - np.prod((num_real - steps) / (num_synthetic + num_real - steps)))
