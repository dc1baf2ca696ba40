from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from models.evaluation.features import FeatureExtractor, Features
from worker.scoring import Comparison, score

EXTRACTOR = cast(FeatureExtractor, SimpleNamespace(name="drawn", digest="ab" * 32, resize_rule="none", dim=12))


def images(n: int, seed: int) -> Features:
    return np.random.default_rng(seed).normal(size=(n, 12))


def compared(num_real: int) -> Comparison:
    real = images(num_real, 1)
    return Comparison("pits", real, images(9, 2) + 0.5, "test", seen_by_adaptation=False, round_trip=real[:6] + 0.1)


def test_every_score_that_a_client_reads_has_its_intervals() -> None:
    report = score(compared(12), EXTRACTOR)
    assert report.copy_floor is not None and report.kid_above_floor is not None
    for one in (report.score, report.matched, report.real_floor, report.copy_floor):
        assert one.fid_interval is not None and one.fid_interval.low <= one.fid <= one.fid_interval.high
    for one in (report.score, report.matched, report.copy_floor):
        assert one.kid_interval is not None and one.kid_interval.low <= one.kid <= one.kid_interval.high
    assert (report.score.fid_interval, report.score.kid_interval) == (report.fid_interval, report.kid_interval)
    assert report.kid_above_floor.value == pytest.approx(report.matched.kid - report.real_floor.kid)


def test_with_too_few_images_for_intervals_there_are_none_and_a_note_says_so() -> None:
    report = score(compared(4), EXTRACTOR)
    assert (report.kid_above_floor, report.matched.kid_interval, report.kid_interval) == (None, None, None)
    assert any(note.startswith("No intervals") for note in report.notes)
