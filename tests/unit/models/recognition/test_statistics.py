"""Metrics by hand and against scikit-learn; intervals that hold what they promise."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from models.recognition.metrics import accuracy, confusion_matrix, macro_f1, recalls
from models.recognition.verdict import Measured, Replicates, Verdict, judged, lift


def test_metrics_by_hand() -> None:
    confusion = confusion_matrix(np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0]), 3)
    assert confusion.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert accuracy(confusion) == pytest.approx(4 / 6)
    assert recalls(confusion).tolist() == pytest.approx([2 / 3, 1, 0])
    assert macro_f1(confusion) == pytest.approx((2 * 2 / 6 + 2 * 2 / 5 + 0) / 3)


def test_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, told = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    confusion = confusion_matrix(truth, told, 4)
    assert np.array_equal(confusion, sklearn_metrics.confusion_matrix(truth, told))
    assert macro_f1(confusion) == pytest.approx(sklearn_metrics.f1_score(truth, told, average="macro"))


def _told(truth: np.ndarray, hard: np.ndarray, skill: float, rng: np.random.Generator, num_seeds: int) -> np.ndarray:
    """Runs that are right with a chance of ``skill`` moved by the image's hardness and the seed's luck."""
    luck = rng.normal(0, 0.03, (num_seeds, 1))
    right = rng.random((num_seeds, len(truth))) < np.clip(skill + hard + luck, 0, 1)
    return np.where(right, truth, (truth + 1) % 3)


@pytest.mark.parametrize("true_lift", [0.0, 0.1])
def test_the_paired_interval_holds_the_true_lift_about_as_often_as_it_says(true_lift: float) -> None:
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(150):
        truth = np.repeat(np.arange(3), 40)
        hard = rng.normal(0, 0.1, len(truth))
        with_it, without = (_told(truth, hard, 0.6 + gain, rng, 5) for gain in (true_lift, 0.0))
        replicates = Replicates.drawn(truth, 5, 300, trial)
        found = lift(truth, with_it, without, 3, accuracy, replicates, 0.95)
        held += found.low <= true_lift <= found.high
    assert held / 150 > 0.88


def test_the_same_predictions_have_no_lift_at_all() -> None:
    truth = np.repeat(np.arange(3), 10)
    told = _told(truth, np.zeros(30), 0.6, np.random.default_rng(0), 4)
    found = lift(truth, told, told, 3, macro_f1, Replicates.drawn(truth, 4, 50, 0), 0.95)
    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.1, Verdict.GAIN_SHOWN), (-0.01, 0.1, Verdict.NO_GAIN_SHOWN), (-0.2, -0.01, Verdict.HARM_SHOWN)],
)
def test_the_verdict_is_whether_the_interval_excludes_nothing(low: float, high: float, verdict: Verdict) -> None:
    assert judged(Measured((low + high) / 2, low, high)) is verdict
