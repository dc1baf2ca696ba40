"""Is an image unlike every real one? Distances to the nearest real images in feature space."""

from dataclasses import dataclass
from math import ceil
from typing import Self

import numpy as np
import numpy.typing as npt

from models.evaluation.copies import distance_blocks, first_of_each
from models.evaluation.features import Features

MIN_IMAGES = 8
_NEIGHBOURS = 3
_PASSING = 0.95
#: Real images often come in runs of one strip, which lie nearer to each other than to what the next strip brings.
_MARGIN = 1.5


@dataclass(frozen=True)
class OutlierVerdict:
    """``distance``: mean Euclidean distance to the 3 nearest real images; None where the gate is off."""

    distance: float | None
    passes: bool


@dataclass(frozen=True)
class OutlierGate:
    """Rejects an image whose mean distance to the 3 nearest real ones exceeds ``threshold`` (None: gate off).

    ``threshold`` is 1.5 times (`_MARGIN`) the distance within which a real image lies from the others, left out itself,
    with a chance of 95 %: the ceil(0.95 (n + 1))-th smallest of the n (conformal; Vovk et al. 2005), the largest where
    there are fewer than 20. So unseen real images are rejected at less than 5 %.
    """

    features: Features
    threshold: float | None

    @classmethod
    def fit(cls, features: Features) -> Self:
        """From real features (n, d) of the class, of which repeats are left out; with fewer than 8 the gate is off."""
        distinct = features[first_of_each(features)]
        if len(distinct) < MIN_IMAGES:
            return cls(distinct, None)
        others = np.concatenate([block for _, block in distance_blocks(distinct, distinct)])
        np.fill_diagonal(others, np.inf)
        typical = np.sort(_nearest_mean(others))
        rank = min(ceil(_PASSING * (len(typical) + 1)), len(typical))
        return cls(distinct, _MARGIN * float(typical[rank - 1]))

    @property
    def reason(self) -> str | None:
        """Why nothing is judged, in words; None when it is."""
        if self.threshold is not None:
            return None
        return (
            f"The class has {len(self.features)} different real images; what is unlike them all can be told from "
            f"{MIN_IMAGES} on."
        )

    def judge(self, features: Features) -> list[OutlierVerdict]:
        """Verdicts on (n, d) features; all pass where the gate is off."""
        if self.threshold is None:
            return [OutlierVerdict(None, True) for _ in features]
        distances = [
            float(value) for _, block in distance_blocks(features, self.features) for value in _nearest_mean(block)
        ]
        return [OutlierVerdict(distance, distance <= self.threshold) for distance in distances]


def _nearest_mean(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,): mean of the smallest 3 of each row of (n, m)."""
    nearest: npt.NDArray[np.float64] = np.partition(distances, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS].mean(axis=1)
    return nearest
