"""Parts of a labelled set, each to be held out once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def folds_of(labels: Labels, groups: Sequence[str], number: int, seed: int) -> Labels:
    """The fold, 0 to ``number`` - 1, of each of N images: ``labels`` (N,) from 0, ``groups`` a name an image.

    Whole groups, of whatever classes, the largest first and equal ones in an order drawn from ``seed``, each put where
    its classes are rarest so far.
    """
    members: dict[str, list[int]] = {}
    for index in np.random.default_rng(seed).permutation(len(labels)):
        members.setdefault(groups[index], []).append(int(index))
    filled = np.zeros((number, int(labels.max()) + 1))
    folds = np.zeros(len(labels), dtype=np.int64)
    for indices in sorted(members.values(), key=len, reverse=True):  # stable: ties stay in random order
        own = np.bincount(labels[indices], minlength=filled.shape[1])
        fold = min(range(number), key=lambda one: (filled[one, own > 0].sum(), filled[one].sum()))
        filled[fold] += own
        folds[indices] = fold
    return folds
