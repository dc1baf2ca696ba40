"""What a protocol found, from the records of its final runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.recognition.config import ProtocolConfig
from models.recognition.metrics import Labels, accuracy, macro_f1, recalls
from models.recognition.records import Arm, Purpose, RunRecord, confusion_of, of_arm, stacked
from models.recognition.verdict import Measured, Replicates, Verdict, inconclusive, judged, lift, measured, sentence

_MAX_TELLING = 12
#: Student's t of fewer seeds spreads so far that hardly any lift could be shown.
_FEW_SEEDS = 4
_FEW_SEEDS_NOTE = "{} classifiers an arm tell little of how much they differ by luck: 5 or more narrow the intervals."
_METRICS = {"accuracy": accuracy, "macro_f1": macro_f1}


@dataclass(frozen=True)
class RatioTried:
    """One ratio of the sweep, over its classifiers. ``num_synthetic``: images that one of them used, on average."""

    ratio: float
    num_synthetic: int
    validation_accuracy: float
    validation_log_loss: float


@dataclass(frozen=True)
class RatioChoice:
    """``held_out``: for want of validation images the ratio was chosen on train images kept back for it."""

    ratio: float
    tried: tuple[RatioTried, ...]
    held_out: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ArmOutcome:
    """One arm on the test images. ``recall`` (C,), ``confusion`` (C, C) summed over seeds, ``runs_accuracy`` a seed."""

    arm: Arm
    ratio: float | None
    num_real: int
    num_synthetic: int
    accuracy: Measured
    macro_f1: Measured
    recall: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    runs_accuracy: tuple[float, ...]


@dataclass(frozen=True)
class LiftFound:
    """How much real_plus_synthetic is above ``over`` in ``metric``, paired by seed and test image."""

    over: Arm
    metric: str
    measured: Measured


@dataclass(frozen=True)
class Telling:
    """A test image that arms disagree on: ``share_right`` of each arm's classifiers told its class."""

    index: int
    share_right: dict[Arm, float]


@dataclass(frozen=True)
class RecognitionOutcome:
    """``verdict`` is of real_plus_synthetic over real_augmented, in accuracy.

    ``is_inconclusive``: the classifiers did not learn, or the test images are too few or too easy; then no lift says
    anything, and no image is telling.
    """

    verdict: Verdict
    sentence: str
    is_inconclusive: bool
    choice: RatioChoice
    arms: tuple[ArmOutcome, ...]
    lifts: tuple[LiftFound, ...]
    telling: tuple[Telling, ...]
    notes: tuple[str, ...]


def concluded(
    records: Mapping[str, RunRecord],
    truth: Labels,
    num_classes: int,
    config: ProtocolConfig,
    choice: RatioChoice,
    twins: Sequence[str],
) -> RecognitionOutcome:
    """From the final runs' ``records``, the ``truth`` (N,) of the test images, and notes on pictures of two classes."""
    replicates = Replicates.drawn(truth, config.num_seeds, config.num_replicates, config.seed)
    runs = {arm: of_arm(records, Purpose.FINAL, arm) for arm in Arm}
    told = {arm: stacked(found) for arm, found in runs.items()}
    arms = {arm: _arm(arm, runs[arm], truth, num_classes, replicates, config) for arm in Arm}
    lifts = [
        LiftFound(over, name, lift(
            truth, told[Arm.REAL_PLUS_SYNTHETIC], told[over], num_classes, metric, replicates, config.confidence
        ))
        for over in (Arm.REAL_AUGMENTED, Arm.REAL_ONLY)
        for name, metric in _METRICS.items()
    ]  # fmt: skip
    gain = lifts[0].measured
    losses = [record.training_loss for found in runs.values() for record in found]
    with_synthetic, without = arms[Arm.REAL_PLUS_SYNTHETIC].accuracy.value, arms[Arm.REAL_AUGMENTED].accuracy.value
    doubt = inconclusive(
        losses,
        [confusion_of(found, truth, num_classes) for found in runs.values()],
        at_ceiling=without == 1 and judged(gain) is not Verdict.HARM_SHOWN,
        has_twins=bool(twins),
    )
    verdict = judged(gain) if doubt is None else Verdict.NO_GAIN_SHOWN
    few = [_FEW_SEEDS_NOTE.format(config.num_seeds)] if config.num_seeds < _FEW_SEEDS else []
    return RecognitionOutcome(
        verdict=verdict,
        sentence=doubt or sentence(verdict, gain, with_synthetic, without, config.confidence),
        is_inconclusive=doubt is not None,
        choice=choice,
        arms=tuple(arms.values()),
        lifts=tuple(lifts),
        telling=_telling(told, truth) if doubt is None else (),
        notes=(*twins, *choice.notes, *few),
    )


def _arm(
    arm: Arm, runs: list[RunRecord], truth: Labels, num_classes: int, replicates: Replicates, config: ProtocolConfig
) -> ArmOutcome:
    told = stacked(runs)
    confusion = confusion_of(runs, truth, num_classes)
    return ArmOutcome(
        arm=arm,
        ratio=runs[0].run.ratio if arm is Arm.REAL_PLUS_SYNTHETIC else None,
        num_real=runs[0].num_real,
        num_synthetic=runs[0].num_synthetic,
        accuracy=measured(truth, told, num_classes, accuracy, replicates, config.confidence),
        macro_f1=measured(truth, told, num_classes, macro_f1, replicates, config.confidence),
        recall=tuple(float(value) for value in recalls(confusion)),
        confusion=tuple(tuple(round(value) for value in row) for row in confusion),
        runs_accuracy=tuple(float(value) for value in (told == truth).mean(axis=1)),
    )


def _telling(told: Mapping[Arm, Labels], truth: Labels) -> tuple[Telling, ...]:
    """The images that real_plus_synthetic and real_augmented disagree on most, gains and losses alike."""
    right = {arm: (labels == truth).mean(axis=0) for arm, labels in told.items()}
    difference = np.abs(right[Arm.REAL_PLUS_SYNTHETIC] - right[Arm.REAL_AUGMENTED])
    order = [int(index) for index in np.argsort(-difference, kind="stable")[:_MAX_TELLING] if difference[index] > 0]
    return tuple(Telling(index, {arm: float(shares[index]) for arm, shares in right.items()}) for index in order)
