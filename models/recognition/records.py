"""What one trained classifier said: small enough to be kept, so that an interrupted protocol goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.recognition.metrics import Confusion, Labels, confusion_matrix


class Arm(StrEnum):
    """What a classifier is trained on. ``real_plus_synthetic`` is augmented as ``real_augmented`` is."""

    REAL_ONLY = "real_only"
    REAL_AUGMENTED = "real_augmented"
    REAL_PLUS_SYNTHETIC = "real_plus_synthetic"


class Purpose(StrEnum):
    """Whether a run helps to choose the ratio, or is tested."""

    SELECTION = "selection"
    FINAL = "final"


@dataclass(frozen=True)
class Run:
    """One classifier to train. ``seed``: its number among the arm's; the same number, the same draws in any arm."""

    purpose: Purpose
    arm: Arm
    ratio: float
    seed: int

    @property
    def key(self) -> str:
        """A name that no other run of the protocol has."""
        return f"{self.purpose}/{self.arm}/{self.ratio!r}/{self.seed}"


@dataclass(frozen=True)
class RunRecord:
    """``told``: the class told for each image asked about (validation or test images, by purpose).

    ``log_loss``: mean cross-entropy on these images. ``training_loss``: at the end of the training.
    """

    run: Run
    told: tuple[int, ...]
    log_loss: float
    training_loss: float
    steps: int
    num_real: int
    num_synthetic: int
    seconds: float


def stacked(records: Sequence[RunRecord]) -> Labels:
    """(runs, N) int64: what each run told, in the order of seeds."""
    return np.asarray([record.told for record in sorted(records, key=lambda one: one.run.seed)], dtype=np.int64)


def confusion_of(records: Sequence[RunRecord], truth: Labels, num_classes: int) -> Confusion:
    """The runs' confusion matrices added up."""
    matrices = [confusion_matrix(truth, np.asarray(record.told), num_classes) for record in records]
    total: Confusion = np.sum(matrices, axis=0)
    return total


def of_arm(records: Mapping[str, RunRecord], purpose: Purpose, arm: Arm, ratio: float | None = None) -> list[RunRecord]:
    """The records of an arm (and of a ratio, where it is named), in the order of seeds."""
    found = [
        record
        for record in records.values()
        if record.run.purpose is purpose and record.run.arm is arm and (ratio is None or record.run.ratio == ratio)
    ]
    return sorted(found, key=lambda record: record.run.seed)
