"""All gates of a class in one: each synthetic image is accepted, or rejected for one reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from PIL import Image

from models.evaluation.class_gate import ClassGate, ClassVerdict
from models.evaluation.copies import CopyGate, CopyVerdict
from models.evaluation.features import Features
from models.evaluation.outliers import OutlierGate, OutlierVerdict

_NOT_ASKED_FOR = "It was not asked for."


class RejectReason(StrEnum):
    """Why an image is not delivered; of several reasons the first in this order."""

    NOT_FINITE = "not_finite"
    COPY = "copy"
    WRONG_CLASS = "wrong_class"
    OUTLIER = "outlier"


@dataclass(frozen=True)
class Verdict:
    """``reason`` is None exactly when the image is ``accepted``. The rest is None where that gate is off."""

    accepted: bool
    reason: RejectReason | None
    copy: CopyVerdict | None = None
    class_probability: float | None = None
    outlier_distance: float | None = None


@dataclass(frozen=True)
class GateState:
    """One gate, ``copies``, ``wrong_class`` or ``outliers``: is it on, if not why not, and its thresholds."""

    name: str
    on: bool
    reason: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gates:
    """The gates that are asked for, fitted; None: not asked for. ``class_name``: what the images are meant to be."""

    copy: CopyGate | None
    klass: ClassGate | None
    outlier: OutlierGate | None
    class_name: str

    def judge(
        self, images: Sequence[Image.Image], features: Features, own_sources: Sequence[Sequence[int]]
    ) -> list[Verdict]:
        """Verdicts on ``images``, in their order, with ``features`` (n, d) and the real images each began as.

        A row of features that is NaN or infinite, or a picture that cannot be read, is rejected as ``not_finite``.
        """
        if not len(images) == len(features) == len(own_sources):
            raise ValueError(f"{len(images)} images, {len(features)} rows of features, {len(own_sources)} sources")
        whole = [i for i, image in enumerate(images) if np.isfinite(features[i]).all() and _is_readable(image)]
        sound = features[np.array(whole, dtype=np.int64)]
        copies = self._copies([images[i] for i in whole], sound, [own_sources[i] for i in whole])
        classes = [ClassVerdict(None, True)] * len(whole)
        outliers = [OutlierVerdict(None, True)] * len(whole)
        if self.klass is not None:
            classes = self.klass.judge(sound, self.class_name)
        if self.outlier is not None:
            outliers = self.outlier.judge(sound)
        verdicts = [Verdict(False, RejectReason.NOT_FINITE)] * len(images)
        for index, copy, klass, outlier in zip(whole, copies, classes, outliers, strict=True):
            verdicts[index] = _verdict(copy, klass, outlier)
        return verdicts

    def _copies(
        self, images: Sequence[Image.Image], features: Features, own_sources: Sequence[Sequence[int]]
    ) -> Sequence[CopyVerdict | None]:
        return [None] * len(images) if self.copy is None else self.copy.judge(images, features, own_sources)

    def describe(self) -> list[GateState]:
        """Every gate: what is on, by which figures, and why something is off."""
        return [_copy_state(self.copy), _class_state(self.klass, self.class_name), _outlier_state(self.outlier)]


def _verdict(copy: CopyVerdict | None, klass: ClassVerdict, outlier: OutlierVerdict) -> Verdict:
    reason = None
    if copy is not None and copy.is_copy:
        reason = RejectReason.COPY
    elif not klass.passes:
        reason = RejectReason.WRONG_CLASS
    elif not outlier.passes:
        reason = RejectReason.OUTLIER
    return Verdict(reason is None, reason, copy, klass.probability, outlier.distance)


def _is_readable(image: Image.Image) -> bool:
    try:
        image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return image.width > 0 and image.height > 0


def _copy_state(gate: CopyGate | None) -> GateState:
    if gate is None:
        return GateState("copies", False, _NOT_ASKED_FOR)
    figures = {"pixel_threshold": gate.pixel_threshold, "percentile": gate.percentile, "num_real": float(gate.num_real)}
    if gate.feature_threshold is None:
        return GateState("copies", True, "By pixels alone: all real images are the same one.", figures)
    return GateState("copies", True, None, {"feature_threshold": gate.feature_threshold, **figures})


def _class_state(gate: ClassGate | None, class_name: str) -> GateState:
    if gate is None:
        return GateState("wrong_class", False, _NOT_ASKED_FOR)
    figures = {"num_classes": float(len(gate.class_names)), "num_real": float(gate.counts.get(class_name, 0))}
    if gate.out_of_fold_accuracy is not None and class_name in gate.recalls:
        figures |= {"out_of_fold_accuracy": gate.out_of_fold_accuracy, "recall": gate.recalls[class_name]}
    if gate.supports(class_name):
        figures["log_odds_threshold"] = gate.thresholds[class_name]
    return GateState("wrong_class", gate.supports(class_name), gate.reason(class_name), figures)


def _outlier_state(gate: OutlierGate | None) -> GateState:
    if gate is None:
        return GateState("outliers", False, _NOT_ASKED_FOR)
    figures = {"num_real": float(len(gate.features))}
    if gate.threshold is not None:
        figures["distance_threshold"] = gate.threshold
    return GateState("outliers", gate.threshold is not None, gate.reason, figures)
