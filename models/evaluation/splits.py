"""Scores at equal counts: means over random splits of the real images, and how far they would move.

The intervals are at 95 %. They tell how far each mean would move with other images of the same kind, and with other
random splits (standard deviation between them / sqrt(number of splits)).

KID: its unbiased estimate is made of means over pairs, so over all splits the mean from synthetic to real images is KID
of all of them, whose bootstrap interval it has, and the mean from real to real ones is 0, whatever the images. Of the
floor only the choice of splits is left, and of the difference of the two the same as of `matched`.

FID: to first order `matched` moves with the images as FID of all of them does. The floor's spread is a jackknife that
leaves out a tenth of the real images at a time, as many in each half (delete-a-group, Shao and Wu 1989); like the
others of FID it is too wide rather than too narrow at few images (at 20 by a fifth).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.intervals import NORMAL_QUANTILE, Interval, ScoreIntervals, fid_of_subsets
from models.evaluation.kernel import squared_mmd

_GROUPS = 10

_Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitScore:
    """A mean over random splits: ``num_first`` real images against ``num_second`` others.

    ``fid_std`` and ``kid_std`` are spreads over the ``num_splits`` splits. Splits share images, so these say how much
    a single split would wobble, not the standard error of the mean. The intervals are those of the mean.
    """

    fid: float
    kid: float
    fid_std: float
    kid_std: float
    num_first: int
    num_second: int
    num_splits: int
    fid_interval: Interval | None = None
    kid_interval: Interval | None = None


@dataclass(frozen=True)
class SplitScores:
    """The synthetic images and the floor, over the same splits at the same counts.

    ``kid_above_floor``: how much farther in KID the synthetic images are from the real ones than these are from each
    other. ``kid_above_floor_std``: its spread over the splits.
    """

    real_floor: SplitScore
    matched: SplitScore
    kid_above_floor: float
    kid_above_floor_std: float
    kid_above_floor_interval: Interval | None = None


def split_scores(real: Features, synthetic: Features, num_splits: int = 20, seed: int = 0) -> SplitScores:
    """The real floor of ``real`` (n, d), and the score of ``synthetic`` (m, d) at the floor's counts; no intervals yet.

    In each of ``num_splits`` splits one random half of the reals (h = n // 2) is the reference; k = min(h, m) images of
    the other half, then k random synthetic ones, are scored against it. Same reference, same counts, hence the same
    bias: a synthetic set as good as unseen real images scores the floor.
    """
    half = len(real) // 2
    count = min(half, len(synthetic))
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(num_splits):
        order = rng.permutation(len(real))
        reference, others = real[order[:half]], real[order[half : half + count]]
        chosen = synthetic[rng.permutation(len(synthetic))[:count]]
        scores.append([
            (frechet_distance(reference, others), squared_mmd(reference, others)),
            (frechet_distance(reference, chosen), squared_mmd(reference, chosen)),
        ])  # fmt: skip
    values = np.asarray(scores, dtype=np.float64)
    floor, matched = _split_score(values[:, 0], half, count), _split_score(values[:, 1], half, count)
    above = values[:, 1, 1] - values[:, 0, 1]
    return SplitScores(floor, matched, float(above.mean()), float(above.std()))


def with_intervals(
    scores: SplitScores, of_all: ScoreIntervals, real: Features, fid: float, kid: float, seed: int = 0
) -> SplitScores:
    """``scores`` of ``real`` (n, d) with intervals, by those ``of_all`` images, which score ``fid`` and ``kid``."""
    floor, matched = scores.real_floor, scores.matched
    by_splits = NORMAL_QUANTILE / np.sqrt(floor.num_splits)
    below, beyond = kid - of_all.kid.low, of_all.kid.high - kid
    of_fid = of_all.fid.high - fid
    of_floor = _floor_reach(real, floor.num_splits, seed)

    def around(value: float, std: float, low: float, high: float) -> Interval:
        wobble = by_splits * std
        return Interval(value - float(np.hypot(low, wobble)), value + float(np.hypot(high, wobble)))

    return replace(
        scores,
        real_floor=replace(
            floor,
            fid_interval=None if of_floor is None else _cut(around(floor.fid, 0.0, of_floor, of_floor)),
            kid_interval=around(floor.kid, floor.kid_std, 0.0, 0.0),
        ),
        matched=replace(
            matched,
            fid_interval=_cut(around(matched.fid, matched.fid_std, of_fid, of_fid)),
            kid_interval=around(matched.kid, matched.kid_std, below, beyond),
        ),
        kid_above_floor_interval=around(scores.kid_above_floor, scores.kid_above_floor_std, below, beyond),
    )


def _split_score(values: npt.NDArray[np.float64], num_first: int, num_second: int) -> SplitScore:
    fid, kid = values.mean(axis=0)
    fid_std, kid_std = values.std(axis=0)
    return SplitScore(float(fid), float(kid), float(fid_std), float(kid_std), num_first, num_second, len(values))


def _cut(interval: Interval) -> Interval:
    return Interval(max(0.0, interval.low), interval.high)


def _floor_reach(real: Features, num_splits: int, seed: int) -> float | None:
    """1.96 standard errors of the mean FID of random halves of ``real`` (n, d); None below 6 images.

    Groups of equal size are left out in turn, half of each from either half of every split, so that the counts, which
    FID depends on, stay equal. The splits are the same whichever group is left out.
    """
    half = len(real) // 2
    if half < 3:
        return None
    num_groups = min(_GROUPS, half)
    in_half = half // num_groups
    left_out = 2 * in_half
    rng = np.random.default_rng(seed)
    groups, rest = np.split(rng.permutation(len(real)), [num_groups * left_out])
    groups = groups.reshape(num_groups, left_out)
    halves = [
        halved
        for _ in range(num_splits)
        for halved in _without_each(rng.permuted(groups, axis=1), rng.permutation(rest), in_half)
    ]
    replicates = np.array(list(fid_of_subsets(real.astype(np.float64), real.astype(np.float64), halves)))
    means = replicates.reshape(num_splits, num_groups).mean(axis=0)
    # The variance of a mean of n is that of means without d of them times (n - d)^2 / (n d).
    scale = (len(real) - left_out) / np.sqrt(len(real) * left_out)
    return NORMAL_QUANTILE * float(scale * means.std(ddof=1))


def _without_each(groups: _Indices, rest: _Indices, in_half: int) -> Sequence[list[_Indices]]:
    """A split's two halves without each of ``groups`` (G, 2 x ``in_half``) in turn; ``rest`` is in all of them."""
    spare = len(rest) // 2
    first, second = rest[:spare], rest[spare : 2 * spare]
    kept = [np.delete(groups, number, axis=0) for number in range(len(groups))]
    return [
        [np.concatenate([one[:, :in_half].ravel(), first]), np.concatenate([one[:, in_half:].ravel(), second])]
        for one in kept
    ]
