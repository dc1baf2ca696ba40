from itertools import combinations

import numpy as np
import pytest

from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.intervals import Interval, score_intervals
from models.evaluation.kernel import squared_mmd
from models.evaluation.splits import SplitScores, split_scores, with_intervals


def images(n: int, seed: int, shift: float = 0.0, d: int = 24) -> Features:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def judged(real: Features, synthetic: Features, seed: int = 0) -> SplitScores:
    of_all = score_intervals(real, synthetic, 200, seed)
    assert of_all is not None
    return with_intervals(
        split_scores(real, synthetic, seed=seed), of_all, real, frechet_distance(real, synthetic), seed
    )


def error(interval: Interval | None) -> float:
    assert interval is not None
    return (interval.high - interval.low) / (2 * 1.96)


def test_a_synthetic_set_as_good_as_real_images_scores_the_real_floor() -> None:
    pairs = [split_scores(images(40, s), images(40, s + 500), seed=s) for s in range(20)]
    floor, matched = (
        np.mean([score.fid for score in side]) for side in zip(*((p.real_floor, p.matched) for p in pairs), strict=True)
    )
    assert floor > 5
    assert matched == pytest.approx(floor, rel=0.05)


def test_few_synthetic_images_lower_the_count_of_the_floor_too() -> None:
    scores = split_scores(images(30, 1), images(5, 2))
    counts = [(score.num_first, score.num_second) for score in (scores.real_floor, scores.matched)]
    assert counts == [(15, 5), (15, 5)]


def test_kid_is_that_over_all_splits_and_not_of_those_that_were_drawn() -> None:
    """Between halves of one set all pairs of images are as often across as within, so KID is 0 over all splits."""
    real, synthetic = images(6, 1), images(7, 2, shift=0.4)
    halves = [list(one) for one in combinations(range(6), 3)]
    of_real = [squared_mmd(real[one], np.delete(real, one, axis=0)) for one in halves]
    of_synthetic = [
        squared_mmd(real[one], synthetic[list(some)]) for one in halves for some in combinations(range(7), 3)
    ]
    scores = split_scores(real, synthetic, num_splits=2)
    assert scores.real_floor.kid == 0.0 == pytest.approx(np.mean(of_real), abs=1e-9)
    assert scores.matched.kid == scores.kid_above_floor == pytest.approx(np.mean(of_synthetic))


def test_kid_at_equal_counts_has_the_interval_of_all_images() -> None:
    """How often that one holds the truth is tested with it (test_intervals.py)."""
    real, synthetic = images(20, 1), images(24, 2, shift=0.4)
    of_all, scores = score_intervals(real, synthetic, 200, 0), judged(real, synthetic)
    assert of_all is not None
    assert scores.matched.kid_interval == scores.kid_above_floor_interval == of_all.kid


@pytest.mark.parametrize(("n", "m"), [(20, 24), (24, 12), (20, 80), (60, 10)])
def test_intervals_are_as_wide_as_the_means_scatter_with_other_images(n: int, m: int) -> None:
    """FID's, over fresh draws of all images. At so few, intervals may be too wide, never much too narrow."""
    found = [judged(images(n, s), images(m, s + 999, 0.5), seed=s) for s in range(60)]

    def compare(scatter: list[float], intervals: list[Interval | None], widest: float) -> None:
        assert 0.85 < np.mean([error(one) for one in intervals]) / np.std(scatter) < widest

    compare([one.matched.fid for one in found], [one.matched.fid_interval for one in found], 1.5)
    compare([one.real_floor.fid for one in found], [one.real_floor.fid_interval for one in found], 1.6)


def test_the_difference_of_equal_distributions_holds_zero_and_that_of_others_does_not() -> None:
    equal = [judged(images(24, s), images(24, s + 999), seed=s).kid_above_floor_interval for s in range(60)]
    apart = [judged(images(24, s), images(24, s + 999, 0.7), seed=s).kid_above_floor_interval for s in range(20)]
    assert np.mean([one is not None and one.low <= 0.0 <= one.high for one in equal]) >= 0.92
    assert all(one is not None and one.low > 0.0 for one in apart)


@pytest.mark.parametrize("n", [5, 6, 7, 23, 41])
@pytest.mark.parametrize("m", [5, 9, 30])
def test_every_interval_holds_its_score_at_any_count(n: int, m: int) -> None:
    scores = judged(images(n, 1), images(m, 2))
    of_kid = scores.matched.kid_interval
    assert of_kid is not None and of_kid.low <= scores.matched.kid <= of_kid.high
    assert scores.real_floor.kid_interval is None
    for one in (scores.real_floor, scores.matched):
        if one.fid_interval is not None:
            assert 0.0 <= one.fid_interval.low <= one.fid <= one.fid_interval.high
    assert (scores.real_floor.fid_interval is None) == (n < 6)
