"""From predictions to what may be said: lifts with paired intervals, and a verdict in words."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from models.recognition.metrics import Confusion, Labels, accuracy, confusion_matrix

Metric = Callable[[Confusion], float]


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
    """Weights of bootstrap replicates: ``seeds`` (R, S) and ``images`` (R, N), how often each is drawn.

    Seeds are drawn with replacement and, within each class, so are test images: what another training and another
    day's images might have given. The same replicates serve every arm, which pairs them.
    """

    seeds: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]

    @classmethod
    def drawn(cls, truth: Labels, num_seeds: int, num_replicates: int, seed: int) -> "Replicates":
        """For images of the classes ``truth`` (N,)."""
        rng = np.random.default_rng(seed)
        images = np.zeros((num_replicates, len(truth)), np.int64)
        for label in np.unique(truth):
            places = np.flatnonzero(truth == label)
            images[:, places] = rng.multinomial(len(places), [1 / len(places)] * len(places), size=num_replicates)
        seeds = rng.multinomial(num_seeds, [1 / num_seeds] * num_seeds, size=num_replicates)
        return cls(seeds, images)


def measured(truth: Labels, told: Labels, num_classes: int, metric: Metric, replicates: Replicates, confidence: float
             ) -> Measured:  # fmt: skip
    """The mean of ``metric`` over the runs of ``told`` (S, N), with its interval."""
    values = _values(truth, told, num_classes, metric, replicates)
    return _interval(_mean(truth, told, num_classes, metric), values, confidence)


def lift(
    truth: Labels, told: Labels, over: Labels, num_classes: int, metric: Metric, replicates: Replicates,
    confidence: float,
) -> Measured:  # fmt: skip
    """How much the mean of ``metric`` is higher with ``told`` (S, N) than with ``over`` (S, N), paired."""
    value = _mean(truth, told, num_classes, metric) - _mean(truth, over, num_classes, metric)
    values = _values(truth, told, num_classes, metric, replicates) - _values(
        truth, over, num_classes, metric, replicates
    )
    return _interval(value, values, confidence)


def _mean(truth: Labels, told: Labels, num_classes: int, metric: Metric) -> float:
    return float(np.mean([metric(confusion_matrix(truth, row, num_classes)) for row in told]))


def _values(
    truth: Labels, told: Labels, num_classes: int, metric: Metric, replicates: Replicates
) -> npt.NDArray[np.float64]:
    """(R,): in each replicate, the mean of ``metric`` over its seeds, on its images."""
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
    values: npt.NDArray[np.float64] = (per_run * replicates.seeds).sum(axis=1) / replicates.seeds.sum(axis=1)
    return values


def _interval(value: float, values: npt.NDArray[np.float64], confidence: float) -> Measured:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Measured(value, float(low), float(high))


def judged(gain: Measured) -> Verdict:
    """By whether the interval excludes 0, and on which side."""
    if gain.low > 0:
        return Verdict.GAIN_SHOWN
    return Verdict.HARM_SHOWN if gain.high < 0 else Verdict.NO_GAIN_SHOWN


def sentence(verdict: Verdict, gain: Measured, synthetic: float, augmented: float, learned: bool) -> str:
    """The verdict for a person: shares are told as percent, differences as points."""
    if not learned:
        return (
            "The classifier did not learn to tell the classes apart, with or without synthetic images; nothing can be "
            "concluded. Give it more steps, larger images or more real images."
        )
    figures = (
        f"accuracy {100 * synthetic:.1f} % instead of {100 * augmented:.1f} % with classic augmentation alone: "
        f"{100 * gain.value:+.1f} points, 95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
    )
    words = {
        Verdict.GAIN_SHOWN: "The synthetic images help",
        Verdict.HARM_SHOWN: "The synthetic images harm",
        Verdict.NO_GAIN_SHOWN: "No gain shown",
    }
    return f"{words[verdict]}: {figures}."


def has_learned(training_losses: list[float], best_accuracy: float, num_classes: int, num_images: int) -> bool:
    """Whether some training got below chance's loss and some accuracy is above chance by twice its standard error."""
    chance = 1 / num_classes
    error = math.sqrt(chance * (1 - chance) / max(num_images, 1))
    return min(training_losses) < 0.9 * math.log(num_classes) and best_accuracy > chance + 2 * error
