"""From predictions to what may be said: lifts with paired intervals, and a verdict in words."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from models.recognition.metrics import Confusion, Labels, accuracy, confusion_matrix, recalls

Metric = Callable[[Confusion], float]
#: The share of chance's cross-entropy, log C, that training must get below.
_LEARNED_LOSS = 0.9
#: Less than any image makes of a difference: rounding alone.
_NO_SPREAD = 1e-9
INCONCLUSIVE = "Nothing can be concluded"


class Verdict(StrEnum):
    """Of ``real_plus_synthetic`` against ``real_augmented``, by the interval of the lift in accuracy."""

    GAIN_SHOWN = "gain_shown"
    NO_GAIN_SHOWN = "no_gain_shown"
    HARM_SHOWN = "harm_shown"


@dataclass(frozen=True)
class Measured:
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Replicates:
    """What another training and another day's images might have given, the same for every arm, which pairs them.

    ``images`` (R, N): how often each test image is drawn, with replacement within its class. ``luck`` (R,): draws of
    Student's t with S - 1 degrees of freedom, in standard errors of the mean over S seeds: so few seeds, drawn with
    replacement themselves, would show too little of how much they differ.
    ``widening``: sqrt(N / (N - C)), by which a stratified bootstrap of C classes is too narrow; infinite for N = C.
    """

    images: npt.NDArray[np.int64]
    luck: npt.NDArray[np.float64]
    widening: float

    @classmethod
    def drawn(cls, truth: Labels, num_seeds: int, num_replicates: int, seed: int) -> "Replicates":
        """For images of the classes ``truth`` (N,). Raises `ValueError` for fewer than two seeds."""
        if num_seeds < 2:
            raise ValueError(f"{num_seeds} seed tells nothing of how much seeds differ")
        rng = np.random.default_rng(seed)
        images = np.zeros((num_replicates, len(truth)), np.int64)
        labels = np.unique(truth)
        for label in labels:
            places = np.flatnonzero(truth == label)
            images[:, places] = rng.multinomial(len(places), [1 / len(places)] * len(places), size=num_replicates)
        spare = len(truth) - len(labels)
        widening = math.sqrt(len(truth) / spare) if spare else math.inf
        return cls(images, rng.standard_t(num_seeds - 1, size=num_replicates), widening)


def measured(truth: Labels, told: Labels, num_classes: int, metric: Metric, replicates: Replicates, confidence: float
             ) -> Measured:  # fmt: skip
    """The mean of ``metric``, in [0, 1], over the runs of ``told`` (S, N), with its interval."""
    runs, values = _runs(truth, told, num_classes, metric), _values(truth, told, num_classes, metric, replicates)
    return _interval(runs, values, replicates, confidence, (0.0, 1.0))


def lift(
    truth: Labels, told: Labels, over: Labels, num_classes: int, metric: Metric, replicates: Replicates,
    confidence: float,
) -> Measured:  # fmt: skip
    """How much the mean of ``metric`` is higher with ``told`` (S, N) than with ``over`` (S, N), paired."""
    runs = _runs(truth, told, num_classes, metric) - _runs(truth, over, num_classes, metric)
    values = _values(truth, told, num_classes, metric, replicates) - _values(
        truth, over, num_classes, metric, replicates
    )
    return _interval(runs, values, replicates, confidence, (-1.0, 1.0))


def _runs(truth: Labels, told: Labels, num_classes: int, metric: Metric) -> npt.NDArray[np.float64]:
    """(S,): ``metric`` of each run on all images."""
    return np.asarray([metric(confusion_matrix(truth, row, num_classes)) for row in told])


def _values(
    truth: Labels, told: Labels, num_classes: int, metric: Metric, replicates: Replicates
) -> npt.NDArray[np.float64]:
    """(R,): in each replicate, the mean of ``metric`` over all seeds, on its images."""
    if metric is accuracy:
        right = (told == truth).astype(np.float64)
        per_run = replicates.images @ right.T / replicates.images.sum(axis=1, keepdims=True)
    else:
        per_run = np.asarray(
            [
                [metric(confusion_matrix(truth, row, num_classes, weights)) for row in told]
                for weights in replicates.images
            ]
        )
    values: npt.NDArray[np.float64] = per_run.mean(axis=1)
    return values


def _interval(
    runs: npt.NDArray[np.float64], values: npt.NDArray[np.float64], replicates: Replicates, confidence: float,
    within: tuple[float, float],
) -> Measured:  # fmt: skip
    """Of the mean of ``runs`` (S,): the images' share from the replicates' ``values`` (R,), the seeds' from ``runs``.

    What depends on seed and image together is in both shares, which errs towards a wide interval. With one image a
    class nothing is known of how images differ: the interval is all that is possible.
    """
    value = float(runs.mean())
    if math.isinf(replicates.widening):
        return Measured(value, *within)
    by_image = (values - value) * replicates.widening
    by_seed = replicates.luck * runs.std(ddof=1) / math.sqrt(len(runs))
    if np.ptp(by_image) + np.ptp(by_seed) < _NO_SPREAD:
        return _of_equal_outcomes(value, replicates.images.shape[1], confidence, within)
    tail = (1 - confidence) / 2
    low, high = np.clip(value + np.quantile(by_image + by_seed, [tail, 1 - tail]), *within)
    return Measured(value, float(low), float(high))


def _of_equal_outcomes(value: float, num_images: int, confidence: float, within: tuple[float, float]) -> Measured:
    """Where resampling shows no spread, it knows nothing of outcomes that no image had.

    Of the images that speak against one, a share of up to z^2 / (n + z^2) may have it: Wilson's bound for none of n.
    At an accuracy of 1 all images speak against a wrong answer, and this is Wilson's interval.
    """
    z_squared = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    least, most = within

    def unseen(reach: float) -> float:
        return reach * z_squared / (num_images * reach / (most - least) + z_squared)

    return Measured(value, value - unseen(value - least), value + unseen(most - value))


def judged(gain: Measured) -> Verdict:
    """By whether the interval excludes 0, and on which side."""
    if gain.low > 0:
        return Verdict.GAIN_SHOWN
    return Verdict.HARM_SHOWN if gain.high < 0 else Verdict.NO_GAIN_SHOWN


def sentence(verdict: Verdict, gain: Measured, synthetic: float, augmented: float, confidence: float) -> str:
    """The verdict for a person: shares are told as percent, differences as points."""
    interval = f"{100 * confidence:g} % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
    figures = (
        f"accuracy {100 * synthetic:.1f} % instead of {100 * augmented:.1f} % with classic augmentation alone: "
        f"{100 * gain.value:+.1f} points, {interval}"
    )
    words = {
        Verdict.GAIN_SHOWN: "The synthetic images help",
        Verdict.HARM_SHOWN: "The synthetic images harm",
        Verdict.NO_GAIN_SHOWN: "No gain shown",
    }
    return f"{words[verdict]}: {figures}."


def inconclusive(
    training_losses: Sequence[float], confusions: Sequence[Confusion], *, at_ceiling: bool = False,
    has_twins: bool = False,
) -> str | None:  # fmt: skip
    """Why nothing can be concluded, for a person; None where something can.

    ``training_losses``: of all runs. ``confusions``: of each arm. ``at_ceiling``: without synthetic images nothing was
    told wrong. ``has_twins``: some pictures stand in several classes.
    """
    num_classes = len(confusions[0])
    chance = 1 / num_classes
    # Runs of an arm are asked about the same images, so an image counts once however many runs there are.
    runs_of_arm = len(training_losses) / len(confusions)
    images = confusions[0].sum(axis=1) / runs_of_arm
    least = chance + 2 * math.sqrt(chance * (1 - chance) * float(np.sum(1 / images))) / num_classes
    if min(images) < 2 or least >= 1:
        return (
            f"{INCONCLUSIVE}: there are too few test images ({images.sum():.0f} of {num_classes} classes) to tell any "
            "classifier from chance. Add test images."
        )
    if at_ceiling:
        return (
            f"{INCONCLUSIVE}: no gain could be seen, because every test image was told right already with real images "
            "alone. A test of more or harder images is needed."
        )
    best = max(float(recalls(confusion).mean()) for confusion in confusions)
    has_fitted = min(training_losses) < _LEARNED_LOSS * math.log(num_classes)
    return None if has_fitted and best > least else _unlearned(has_fitted, best > least, has_twins)


def _unlearned(has_fitted: bool, is_above_chance: bool, has_twins: bool) -> str:
    """``has_fitted``: some training ended clearly below chance's loss.

    ``is_above_chance``: some arm's mean recall is, by twice its standard error. Recall, because a constant answer has a
    high accuracy where one class has most of the test images.
    """
    if is_above_chance:
        told = "no classifier had finished learning its train images, so more steps may change the answer"
        remedy = "Raise `settings.steps`, or try another `settings.learning_rate`."
    elif has_fitted:
        told = "no classifier got beyond chance on the test images, with or without synthetic ones"
        remedy = "Upload more real images, or raise `settings.image_size_px`."
    else:
        told = "no classifier learned to tell the classes apart, with or without synthetic images"
        remedy = "Raise `settings.steps` or `settings.image_size_px`, or try another `settings.learning_rate`."
    if has_twins:
        told = f"some pictures stand in several classes, which nobody can tell apart (the notes say which), and {told}"
        remedy = "First give each of these pictures one label, or leave it out."
    return f"{INCONCLUSIVE}: {told}. {remedy}"
