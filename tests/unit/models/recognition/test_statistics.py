"""Metrics by hand and against scikit-learn; intervals that hold what they promise."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from models.recognition.metrics import accuracy, confusion_matrix, macro_f1, recalls
from models.recognition.verdict import Measured, Replicates, Verdict, inconclusive, judged, lift, measured, sentence


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


def test_the_same_predictions_have_no_lift_and_other_images_might_have_shown_some() -> None:
    truth = np.repeat(np.arange(3), 10)
    told = _told(truth, np.zeros(30), 0.6, np.random.default_rng(0), 4)
    found = lift(truth, told, told, 3, macro_f1, Replicates.drawn(truth, 4, 50, 0), 0.95)
    assert found.value == 0
    assert -0.25 < found.low == -found.high < -0.1


def test_a_perfect_score_has_wilson_s_interval_and_a_constant_answer_has_width() -> None:
    truth = np.repeat(np.arange(2), 30)
    replicates = Replicates.drawn(truth, 4, 200, 0)
    perfect = measured(truth, np.tile(truth, (4, 1)), 2, accuracy, replicates, 0.95)
    assert (perfect.value, perfect.low, perfect.high) == (1, pytest.approx(60 / (60 + 1.96**2), abs=1e-4), 1)
    constant = measured(truth, np.zeros((4, 60), np.int64), 2, accuracy, replicates, 0.95)
    # Of the 30 images told right so many might be wrong, Wilson's for none of 30, and of the others as many right.
    half = 0.5 * 1.96**2 / (30 + 1.96**2)
    assert (constant.low, constant.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)


@pytest.mark.parametrize("skill", [0.9, 0.98, 1.0])
def test_near_the_ceiling_the_interval_of_an_accuracy_still_holds_it(skill: float) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for trial in range(100):
        truth = np.repeat(np.arange(3), 20)
        told = np.tile(np.where(rng.random(60) < skill, truth, (truth + 1) % 3), (3, 1))
        found = measured(truth, told, 3, accuracy, Replicates.drawn(truth, 3, 200, trial), 0.95)
        held += found.low <= skill <= found.high
    assert held >= 85


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.1, Verdict.GAIN_SHOWN), (-0.01, 0.1, Verdict.NO_GAIN_SHOWN), (-0.2, -0.01, Verdict.HARM_SHOWN)],
)
def test_the_verdict_is_whether_the_interval_excludes_nothing(low: float, high: float, verdict: Verdict) -> None:
    assert judged(Measured((low + high) / 2, low, high)) is verdict


@pytest.mark.parametrize(("num_seeds", "per_class"), [(2, 100), (5, 100), (5, 2), (5, 1)])
def test_seeds_that_differ_much_or_few_images_do_not_make_a_lift_of_nothing(num_seeds: int, per_class: int) -> None:
    """Both arms are equally good in truth; each training has its own luck, each arm its own hard images."""
    rng = np.random.default_rng(2)
    found = 0
    for trial in range(200):
        truth = np.repeat(np.arange(3), per_class)
        hard = rng.normal(0, 0.1, (2, len(truth)))
        luck = rng.normal(0, 0.06, (2, num_seeds, 1))
        right = rng.random((2, num_seeds, len(truth))) < np.clip(0.7 + hard[:, None] + luck, 0, 1)
        one, other = np.where(right, truth, (truth + 1) % 3)
        replicates = Replicates.drawn(truth, num_seeds, 300, trial)
        found += judged(lift(truth, one, other, 3, accuracy, replicates, 0.95)) is not Verdict.NO_GAIN_SHOWN
    assert found / 200 <= 0.08


def test_a_lift_that_every_image_agrees_on_is_shown_and_seeds_alone_give_students_interval() -> None:
    truth = np.repeat(np.arange(3), 20)
    replicates = Replicates.drawn(truth, 4, 40000, 0)
    wrong = np.tile((truth + 1) % 3, (4, 1))
    certain = lift(truth, np.tile(truth, (4, 1)), wrong, 3, accuracy, replicates, 0.95)
    assert 0.85 < certain.low < certain.value == certain.high == 1
    # As many right in each class of a run, and every image right equally often: images tell nothing of the spread.
    by_seed = np.array([[0.25], [0.5], [0.5], [0.75]])
    values = np.array([0.25, 0.5, 0.5, 0.75])
    told = np.where(np.tile(np.arange(20), 3) < 20 * by_seed, truth, (truth + 1) % 3)
    found = measured(truth, told, 3, accuracy, Replicates(np.ones((40000, 60), np.int64), replicates.luck, 1.0), 0.95)
    half = 3.1824 * values.std(ddof=1) / 2  # Student's t, 3 degrees of freedom, 97.5 %.
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.02)


def test_few_images_a_class_widen_the_interval_by_what_resampling_them_misses() -> None:
    """Resampling n images has (n - 1) / n of the variance that n other images would have."""
    truth = np.repeat(np.arange(3), 4)
    told = np.tile(np.where(np.arange(12) % 4 < 2, truth, (truth + 1) % 3), (2, 1))
    drawn = Replicates.drawn(truth, 2, 2000, 0)
    images_alone = replace(drawn, luck=np.zeros(2000))
    found, plain = (
        measured(truth, told, 3, accuracy, one, 0.95) for one in (images_alone, replace(images_alone, widening=1.0))
    )
    assert plain.low < 0.3 and plain.high > 0.7
    widening = (4 / 3) ** 0.5
    assert (found.low - 0.5, found.high - 0.5) == pytest.approx(
        (widening * (plain.low - 0.5), widening * (plain.high - 0.5))
    )


def test_intervals_stay_where_the_metric_can_be_and_one_seed_gives_none() -> None:
    truth = np.repeat(np.arange(3), 10)
    told = np.tile(truth, (2, 1))
    told[0, 0] = 1
    found = measured(truth, told, 3, accuracy, Replicates.drawn(truth, 2, 500, 0), 0.95)
    assert 0 <= found.low < found.value < found.high <= 1
    with pytest.raises(ValueError, match="1 seed"):
        Replicates.drawn(truth, 1, 500, 0)


@pytest.mark.parametrize(
    ("per_class", "right", "loss", "told"),
    [
        ((50, 50), (45, 45), 0.1, None),
        ((50, 50), (27, 26), 0.01, "beyond chance on the test images, with or without synthetic ones. Upload"),
        ((50, 50), (27, 26), 0.69, "no classifier learned to tell the classes apart"),
        ((50, 50), (45, 45), 0.69, "more steps may change the answer. Raise `settings.steps`"),
        ((190, 10), (190, 0), 0.1, "beyond chance on the test"),  # Always the common class: 95 % right.
        ((2, 2), (2, 2), 0.1, "too few test images (4 of 2 classes)"),
        ((90, 1), (90, 1), 0.1, "too few test images (91 of 2 classes)"),
    ],
)
def test_nothing_is_concluded_from_classifiers_at_chance_or_tests_too_small(
    per_class: tuple[int, int], right: tuple[int, int], loss: float, told: str | None
) -> None:
    (a, b), (x, y) = per_class, right
    of_five_runs = 5.0 * np.array([[x, a - x], [b - y, y]])
    why = inconclusive([loss] * 15, [of_five_runs] * 3)
    assert why is None if told is None else why is not None and told in why and why.startswith("Nothing can be conclud")


@pytest.mark.parametrize(("right", "loss"), [(26, 0.01), (26, 0.69), (45, 0.69)])
def test_where_pictures_have_two_labels_these_come_first_and_no_steps_are_advised(right: int, loss: float) -> None:
    confusion = 5.0 * np.array([[right, 50 - right], [50 - right, right]])
    why = inconclusive([loss] * 15, [confusion] * 3, has_twins=True)
    assert why is not None and why.startswith("Nothing can be concluded: some pictures stand in several classes")
    assert "First give each of these pictures one label" in why and "`settings" not in why
    assert inconclusive([0.1] * 15, [5.0 * np.array([[45, 5], [5, 45]])] * 3, has_twins=True) is None


def test_at_the_ceiling_a_harder_test_is_asked_for_and_not_more_steps() -> None:
    why = inconclusive([0.01] * 15, [5.0 * np.array([[50, 0], [0, 50]])] * 3, at_ceiling=True)
    assert why is not None and "every test image was told right already" in why and "harder images" in why


def test_the_sentence_tells_the_confidence_that_was_asked_for() -> None:
    told = sentence(Verdict.GAIN_SHOWN, Measured(0.05, 0.01, 0.09), 0.9, 0.85, 0.9)
    assert told == (
        "The synthetic images help: accuracy 90.0 % instead of 85.0 % with classic augmentation alone: +5.0 points, "
        "90 % interval +1.0 to +9.0."
    )
