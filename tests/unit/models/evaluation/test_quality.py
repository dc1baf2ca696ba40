import json

import numpy as np
import pytest

from models.errors import DatasetUnusable, InvalidSettings
from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.quality import ExtractorIdentity, QualityReport, QualitySettings, assess

IDENTITY = ExtractorIdentity("drawn", "ab" * 32, "none", 24)


def images(n: int, seed: int, shift: float = 0.0) -> Features:
    return np.random.default_rng(seed).normal(size=(n, 24)) + shift


def report(real: Features, synthetic: Features, round_trip: Features | None = None) -> QualityReport:
    return assess(real, synthetic, IDENTITY, seen_by_adaptation=True, round_trip=round_trip)


def test_a_worse_set_scores_above_the_floor_at_the_floors_counts() -> None:
    result = report(images(40, 1), images(24, 2, shift=0.7))
    assert result.matched.fid > result.real_floor.fid and result.matched.kid > result.real_floor.kid
    counts = [(score.num_first, score.num_second, score.num_splits) for score in (result.real_floor, result.matched)]
    assert counts == [(20, 20, 20)] * 2


def test_the_copy_floor_is_the_round_trip_of_the_sources() -> None:
    real = images(20, 1)
    round_trip = real[:8] + 0.01
    result = report(real, images(20, 2), round_trip)
    assert result.copy_floor is not None
    assert result.copy_floor.fid == frechet_distance(real, round_trip)
    assert (result.copy_floor.num_real, result.copy_floor.num_round_trip) == (20, 8)
    assert report(real, images(20, 2)).copy_floor is None


def test_the_same_seed_gives_the_same_report_and_it_is_plain_json() -> None:
    first, again = (report(images(9, 1), images(6, 2)) for _ in range(2))
    assert first == again
    stored = json.loads(json.dumps(first.to_dict()))
    assert stored["num_real"] == 9 and stored["num_synthetic"] == 6 and stored["seen_by_adaptation"] is True
    assert stored["extractor"]["digest"] == "ab" * 32


def test_every_headline_score_has_an_interval_around_it() -> None:
    result = report(images(30, 1), images(24, 2))
    assert result.intervals is not None and result.notes == ()
    scores = (result.fid, result.kid, result.density.density, result.density.coverage)
    intervals = (result.intervals.fid, result.intervals.kid, result.intervals.density, result.intervals.coverage)
    assert all(interval.low <= score <= interval.high for score, interval in zip(scores, intervals, strict=True))


def test_the_floors_and_the_difference_from_the_real_one_have_intervals_too() -> None:
    real = images(30, 1)
    result = report(real, images(24, 2, shift=0.4), real[:10] + 0.2)
    assert result.copy_floor is not None and result.kid_above_floor_interval is not None
    for one in (result.real_floor, result.matched, result.copy_floor):
        assert one.fid_interval is not None and one.fid_interval.low <= one.fid <= one.fid_interval.high
    for one in (result.matched, result.copy_floor):
        assert one.kid_interval is not None and one.kid_interval.low <= one.kid <= one.kid_interval.high
    assert result.kid_above_floor == pytest.approx(result.matched.kid - result.real_floor.kid)
    assert 0.0 < result.kid_above_floor_interval.low < result.kid_above_floor < result.kid_above_floor_interval.high


def test_what_needs_more_images_than_there_are_is_left_out_with_its_reason() -> None:
    result = assess(images(4, 1), images(6, 2), IDENTITY, seen_by_adaptation=True, round_trip=images(1, 3))
    assert (result.intervals, result.copy_floor) == (None, None)
    assert (result.kid_above_floor_interval, result.matched.kid_interval, result.real_floor.fid_interval) == (None,) * 3
    assert [note.split(":")[0] for note in result.notes] == ["No intervals", "No copy floor"]


@pytest.mark.parametrize(("num_real", "num_synthetic", "field"), [(3, 9, "real"), (9, 1, "synthetic")])
def test_too_few_images_are_refused_with_the_number_missing(num_real: int, num_synthetic: int, field: str) -> None:
    with pytest.raises(DatasetUnusable, match="Add 1 or more") as refused:
        report(images(num_real, 1), images(num_synthetic, 2))
    assert refused.value.field == field


def test_the_smallest_allowed_sets_give_finite_numbers() -> None:
    result = report(images(4, 1), images(2, 2))
    assert np.isfinite([result.fid, result.kid, result.kid_std, result.real_floor.fid, result.matched.kid]).all()


def test_a_single_split_is_refused_because_it_has_no_spread() -> None:
    with pytest.raises(InvalidSettings, match="num_splits"):
        QualitySettings(num_splits=1)
