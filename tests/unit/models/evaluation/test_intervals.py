import time

import numpy as np
import pytest

from models.errors import InvalidSettings
from models.evaluation.density import density_and_coverage
from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.intervals import Interval, ScoreIntervals, fid_interval, score_intervals
from models.evaluation.kernel import squared_mmd


def sample(n: int, seed: int, shift: float = 0.0, d: int = 16) -> Features:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def of(real: Features, synthetic: Features, num_replicates: int = 300, seed: int = 0) -> ScoreIntervals:
    found = score_intervals(real, synthetic, num_replicates, seed)
    assert found is not None
    return found


def standard_error(interval: Interval) -> float:
    return (interval.high - interval.low) / (2 * 1.96)


def test_the_kid_interval_holds_the_true_distance_about_95_times_in_100() -> None:
    truth = float(np.mean([squared_mmd(sample(1500, s), sample(1500, s + 50, 0.5)) for s in range(4)]))
    intervals = [of(sample(40, s), sample(30, s + 999, 0.5), seed=s).kid for s in range(150)]
    assert 0.88 <= np.mean([interval.low <= truth <= interval.high for interval in intervals]) <= 0.99


def test_the_kid_interval_of_equal_distributions_holds_zero() -> None:
    intervals = [of(sample(40, s), sample(30, s + 999), seed=s).kid for s in range(60)]
    assert np.mean([interval.low <= 0.0 <= interval.high for interval in intervals]) >= 0.95


def test_intervals_are_as_wide_as_the_scores_scatter() -> None:
    pairs = [(sample(40, s), sample(30, s + 999, 0.5)) for s in range(80)]
    intervals = [of(*pair, num_replicates=200) for pair in pairs]
    fid = np.std([frechet_distance(*pair) for pair in pairs])
    scores = [density_and_coverage(*pair) for pair in pairs]
    density, coverage = (np.std([getattr(score, name) for score in scores]) for name in ("density", "coverage"))
    assert 0.9 * fid < np.mean([standard_error(each.fid) for each in intervals]) < 1.5 * fid
    assert np.mean([standard_error(each.density) for each in intervals]) == pytest.approx(density, rel=0.3)
    assert np.mean([standard_error(each.coverage) for each in intervals]) == pytest.approx(coverage, rel=0.3)


@pytest.mark.parametrize(("n", "m", "d"), [(20, 24, 256), (300, 60, 16), (6, 5, 3)])
def test_every_interval_holds_its_score(n: int, m: int, d: int) -> None:
    real, synthetic = sample(n, 1, d=d), sample(m, 2, 0.3, d=d)
    found, score = of(real, synthetic), density_and_coverage(real, synthetic)
    assert found.fid.low < frechet_distance(real, synthetic) < found.fid.high
    assert found.kid.low < squared_mmd(real, synthetic) < found.kid.high
    assert found.density.low <= score.density <= found.density.high
    assert 0.0 <= found.coverage.low <= score.coverage <= found.coverage.high <= 1.0


def test_fid_of_subsets_by_inner_products_equals_fid_of_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    real, synthetic = sample(25, 1, d=40), sample(20, 2, 0.3, d=40)
    quick = fid_interval(real, synthetic, num_replicates=20)
    subsets = np.random.default_rng(0)
    values = []
    for _ in range(20):
        in_real, in_synthetic = subsets.permutation(25)[:20], subsets.permutation(20)[:16]
        values.append(frechet_distance(real[in_real], synthetic[in_synthetic]))
    assert standard_error(quick) == pytest.approx(np.std(values, ddof=1) * np.sqrt(0.5 * (20 / 5 + 16 / 4)), rel=1e-6)


def test_looking_at_pairs_by_blocks_changes_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    real, synthetic = sample(20, 1), sample(31, 2, 0.3)
    whole = of(real, synthetic).kid
    monkeypatch.setattr("models.evaluation.intervals._BLOCK", 7)
    by_blocks = of(real, synthetic).kid
    assert (by_blocks.low, by_blocks.high) == pytest.approx((whole.low, whole.high), rel=1e-9)


def test_images_that_are_all_the_same_have_intervals_without_width() -> None:
    same = np.repeat(sample(1, 1), 9, axis=0)
    found = of(same, same)
    assert found.fid.high == pytest.approx(0.0, abs=1e-6) and found.kid.high == pytest.approx(0.0, abs=1e-6)
    assert found.coverage == Interval(1.0, 1.0)


def test_fewer_than_five_images_have_no_interval_and_too_few_replicates_are_refused() -> None:
    assert score_intervals(sample(4, 1), sample(30, 2)) is None
    with pytest.raises(InvalidSettings, match="num_replicates"):
        score_intervals(sample(9, 1), sample(9, 2), num_replicates=50)


def test_the_seed_decides_the_intervals() -> None:
    real, synthetic = sample(20, 1), sample(24, 2)
    first, again, other = (of(real, synthetic, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_hundreds_of_images_take_about_a_second() -> None:
    begun = time.process_time()
    of(sample(300, 1, d=256), sample(100, 2, d=256), num_replicates=1000)
    assert time.process_time() - begun < 1.5
