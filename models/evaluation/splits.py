"""Scores at equal counts: means over random splits of the real images, and how far they would move.

The intervals are at 95 %. They tell how far each mean would move with other images of the same kind, and FID's with
other random splits, too (standard deviation between them / sqrt(number of splits)).

KID: its unbiased estimate is made of means over pairs, so over all splits the mean from synthetic to real images is KID
of all of them, whose bootstrap interval it has, and the mean from real to real ones is 0, whatever the images. These
are told, not the means over the splits that were drawn, which would add the luck of the draw; spreads are of those.

FID: to first order `matched` moves with the images as FID of all of them does. The floor's spread is a jackknife that
leaves out a tenth of the real images at a time, as many from a side in every split (delete-a-group, Shao and Wu 1989);
like the others of FID it is too wide rather than too narrow at few images (at 20 by a fifth).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.intervals import NORMAL_QUANTILE, Interval, ScoreIntervals, fid_of_subsets
from models.evaluation.kernel import Indices, mmd_of_rows

_GROUPS = 10
#: Images of all splits together that the floor's jackknife looks at; of many images few splits are enough.
_MAX_DRAWN = 3000


@dataclass(frozen=True)
class SplitScore:
    """``num_first`` real images against ``num_second`` others: ``fid``, the mean over random splits, and ``kid``, that
    over all there are.

    ``fid_std`` and ``kid_std`` are spreads over the ``num_splits`` splits. Splits share images, so these say how much
    a single split would wobble, not the standard error of the mean. The intervals are those of the mean; KID's is None
    where it is 0 whatever the images.
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
    other.
    """

    real_floor: SplitScore
    matched: SplitScore
    kid_above_floor: float
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
    kid_of_real, kid_of_synthetic = mmd_of_rows(real, real), mmd_of_rows(real, synthetic)
    scores = []
    for _ in range(num_splits):
        order = rng.permutation(len(real))
        reference, others = order[:half], order[half : half + count]
        chosen = rng.permutation(len(synthetic))[:count]
        scores.append([
            (frechet_distance(real[reference], real[others]), kid_of_real(reference, others)),
            (frechet_distance(real[reference], synthetic[chosen]), kid_of_synthetic(reference, chosen)),
        ])  # fmt: skip
    values = np.asarray(scores, dtype=np.float64)
    kid = kid_of_synthetic(np.arange(len(real)), np.arange(len(synthetic)))
    floor, matched = _split_score(values[:, 0], 0.0, half, count), _split_score(values[:, 1], kid, half, count)
    return SplitScores(floor, matched, kid_above_floor=kid)


def with_intervals(
    scores: SplitScores, of_all: ScoreIntervals, real: Features, fid: float, seed: int = 0
) -> SplitScores:
    """``scores`` of ``real`` (n, d) with intervals, by those ``of_all`` images, whose FID is ``fid``."""
    floor, matched = scores.real_floor, scores.matched
    of_floor = _floor_reach(real, floor, seed)
    of_splits = NORMAL_QUANTILE * matched.fid_std / np.sqrt(matched.num_splits)
    of_matched = float(np.hypot(of_all.fid.high - fid, of_splits))
    return replace(
        scores,
        real_floor=replace(floor, fid_interval=None if of_floor is None else _around(floor.fid, of_floor)),
        matched=replace(matched, fid_interval=_around(matched.fid, of_matched), kid_interval=of_all.kid),
        kid_above_floor_interval=of_all.kid,
    )


def _split_score(values: npt.NDArray[np.float64], kid: float, num_first: int, num_second: int) -> SplitScore:
    fid_std, kid_std = values.std(axis=0)
    return SplitScore(
        float(values[:, 0].mean()), kid, float(fid_std), float(kid_std), num_first, num_second, len(values)
    )


def _around(fid: float, reach: float) -> Interval:
    return Interval(max(0.0, fid - reach), fid + reach)


def _floor_reach(real: Features, floor: SplitScore, seed: int) -> float | None:
    """1.96 standard errors of the ``floor``'s FID; None where it has fewer than 3 images on a side.

    Groups of equal size are left out in turn, as many from a side in every split, so that the counts, which FID depends
    on, stay equal. The splits are the same whichever group is left out.
    """
    fewest = min(floor.num_first, floor.num_second)
    if fewest < 3:
        return None
    num_groups = min(_GROUPS, fewest)
    from_first, from_second = floor.num_first // num_groups, floor.num_second // num_groups
    left_out = 2 * from_first
    rng = np.random.default_rng(seed)
    groups, rest = np.split(rng.permutation(len(real)), [num_groups * left_out])
    groups = groups.reshape(num_groups, left_out)
    num_splits = min(floor.num_splits, max(2, _MAX_DRAWN // len(real)))
    sides = [
        sides
        for _ in range(num_splits)
        for sides in _without_each(
            rng.permuted(groups, axis=1), rng.permutation(rest), (from_first, from_second), floor.num_second
        )
    ]
    x = real.astype(np.float64)
    means = np.array(list(fid_of_subsets(x, x, sides))).reshape(num_splits, num_groups).mean(axis=0)
    # The variance of a mean of n is that of means without d of them times (n - d)^2 / (n d).
    scale = (len(real) - left_out) / np.sqrt(len(real) * left_out)
    return NORMAL_QUANTILE * float(scale * means.std(ddof=1))


def _without_each(groups: Indices, rest: Indices, from_each: tuple[int, int], num_second: int) -> list[list[Indices]]:
    """A split's two sides without each of ``groups`` (G, 2 a) in turn, of each of which ``from_each`` (a, b) are on the
    sides. ``rest`` is in all of them: half on the first side, on the second as many as it lacks of ``num_second``."""
    in_first, in_second = groups[:, : from_each[0]], groups[:, from_each[0] : sum(from_each)]
    spare = len(rest) // 2
    lacking = min(spare, num_second - in_second.size)
    first, second = rest[:spare], rest[spare : spare + lacking]
    return [
        [
            np.concatenate([np.delete(in_first, number, axis=0).ravel(), first]),
            np.concatenate([np.delete(in_second, number, axis=0).ravel(), second]),
        ]
        for number in range(len(groups))
    ]
