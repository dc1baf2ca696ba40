"""Does an image look like its class? A small classifier on the features of the data set's real images.

Linear discriminant analysis with a shrunk covariance (Ledoit and Wolf, J. Multivariate Analysis 88:365-411, 2004): it
has no setting to tune and holds with more features than images. It judges only classes for which it proved itself on
images that it had not seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.covariance import ledoit_wolf_shrinkage

from models.evaluation.features import Features
from models.folds import Labels, folds_of

MIN_IMAGES, MIN_RECALL = 8, 0.8
_FOLDS = 5
#: Of a class's own real images this share may lie below the threshold.
_REJECTED_PERCENT = 5.0
#: Share of the typical log-odds added to that: few images, often in runs of one strip, do not show all of the class.
_MARGIN = 0.2
#: Keeps the covariance invertible where all images of a class are the same.
_RIDGE = 1e-6

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassVerdict:
    """``probability`` in [0, 1] that the image is of its class; None where there is no other class.

    It is the classifier's own and too sure of itself: compare with the threshold in log-odds, not with a share.
    """

    probability: float | None
    passes: bool


@dataclass(frozen=True)
class _Discriminant:
    """Log-likelihood of class k up to a constant: x . weights[k] + offsets[k]; x is scaled by 1 / ``scale``."""

    scale: _Floats
    weights: _Floats
    offsets: _Floats

    @classmethod
    def fit(cls, features: Features, labels: Labels, num_classes: int) -> Self:
        """From (n, d) features and (n,) labels; a class without an image is never chosen (offset -inf)."""
        present = np.bincount(labels, minlength=num_classes) > 0
        means = np.zeros((num_classes, features.shape[1]))
        for k in np.flatnonzero(present):
            means[k] = features[labels == k].mean(axis=0)
        residuals = features - means[labels]
        deviation = np.sqrt(np.square(residuals).mean(axis=0))
        scale: _Floats = np.where(deviation > 1e-9 * (1e-9 + np.abs(features).max()), deviation, 1.0)
        residuals, means = residuals / scale, means / scale
        precision_means: _Floats = np.asarray(np.linalg.solve(_shrunk_covariance(residuals), means.T).T, np.float64)
        offsets = np.where(present, -0.5 * (means * precision_means).sum(axis=1), -np.inf)
        return cls(scale, precision_means, offsets)

    def log_odds(self, features: Features) -> _Floats:
        """(n, K): of each class against all others together, every class equally likely beforehand."""
        scores = features / self.scale @ self.weights.T + self.offsets
        odds = np.empty_like(scores)
        for k in range(scores.shape[1]):
            odds[:, k] = scores[:, k] - np.logaddexp.reduce(np.delete(scores, k, axis=1), axis=1)
        return odds


def _shrunk_covariance(residuals: Features) -> _Floats:
    covariance = residuals.T @ residuals / len(residuals)
    size = float(np.trace(covariance)) / len(covariance)
    shrinkage = float(ledoit_wolf_shrinkage(residuals, assume_centered=True)) if size > 0 else 1.0
    covariance *= 1.0 - shrinkage
    covariance[np.diag_indices_from(covariance)] += shrinkage * size + _RIDGE
    return covariance


@dataclass(frozen=True)
class ClassGate:
    """``recalls``: by class, the share of its real images recognised by a classifier that had not seen them.

    ``thresholds``: log-odds, by class: the 5th percentile of what its real images reach unseen, or 0 if that is lower,
    so that nothing is rejected which looks more like its class than like all others; less a margin of 0.2 times the
    median of their absolute values. ``counts``: real images by class.
    """

    class_names: tuple[str, ...]
    counts: Mapping[str, int]
    recalls: Mapping[str, float]
    thresholds: Mapping[str, float]
    out_of_fold_accuracy: float | None
    discriminant: _Discriminant | None

    @classmethod
    def fit(
        cls,
        features_by_class: Mapping[str, Features],
        groups: Mapping[str, Sequence[str | None]] | None = None,
        seed: int = 0,
    ) -> Self:
        """Train on real features (n, d) of all classes; ``groups``: images of one group are never on both sides.

        Five folds, each with its share of every class. Nothing is refused: a class that cannot be judged is not
        supported, and `reason` says why.
        """
        names = tuple(name for name, rows in features_by_class.items() if len(rows))
        counts = {name: len(features_by_class[name]) for name in names}
        if len(names) < 2:
            return cls(names, counts, {}, {}, None, None)
        features = np.concatenate([features_by_class[name] for name in names]).astype(np.float64)
        labels = np.repeat(np.arange(len(names)), [counts[name] for name in names])
        folds = folds_of(labels, _group_names(names, counts, groups), _FOLDS, seed)
        odds = _out_of_fold(features, labels, folds, len(names))
        own = odds[np.arange(len(labels)), labels]
        by_class = {name: own[labels == k] for k, name in enumerate(names)}
        return cls(
            class_names=names,
            counts=counts,
            recalls={name: float((values > 0).mean()) for name, values in by_class.items()},
            thresholds={name: _threshold(values) for name, values in by_class.items()},
            out_of_fold_accuracy=float((own > 0).mean()),
            discriminant=_Discriminant.fit(features, labels, len(names)),
        )

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        fitted = self.discriminant
        return 0 if fitted is None else fitted.scale.nbytes + fitted.weights.nbytes + fitted.offsets.nbytes

    def supports(self, class_name: str) -> bool:
        """Can it be trusted with this class?"""
        return self.reason(class_name) is None

    def reason(self, class_name: str) -> str | None:
        """Why images of the class are not judged, in words; None when they are.

        Judged is a class of at least 8 images, beside another class, of whose images at least 80 % were recognised.
        """
        if class_name not in self.class_names:
            return f"The data set has no real image of {class_name}."
        if len(self.class_names) < 2:
            return f"{class_name} is the only class: there is nothing to mistake it for."
        if self.counts[class_name] < MIN_IMAGES:
            return f"{class_name} has {self.counts[class_name]} real images; a classifier needs {MIN_IMAGES}."
        if self.recalls[class_name] < MIN_RECALL:
            return (
                f"A classifier recognises only {self.recalls[class_name]:.0%} of the real images of {class_name} that "
                f"it has not seen; it is trusted from {MIN_RECALL:.0%} on."
            )
        return None

    def judge(self, features: Features, class_name: str) -> list[ClassVerdict]:
        """Verdicts on (n, d) features of images meant to be of ``class_name``; all pass where it is not supported."""
        if self.discriminant is None or class_name not in self.class_names:
            return [ClassVerdict(None, True) for _ in features]
        odds = self.discriminant.log_odds(features)[:, self.class_names.index(class_name)]
        probabilities = np.exp(-np.logaddexp(0.0, -odds))
        passes = odds >= self.thresholds[class_name] if self.supports(class_name) else np.ones(len(odds), dtype=bool)
        return [ClassVerdict(float(p), bool(passed)) for p, passed in zip(probabilities, passes, strict=True)]


def _threshold(own_log_odds: _Floats) -> float:
    finite = np.clip(own_log_odds, -1e9, 1e9)  # infinite where a class was absent from a fold's training
    return min(0.0, float(np.percentile(finite, _REJECTED_PERCENT))) - _MARGIN * float(np.median(np.abs(finite)))


def _out_of_fold(features: Features, labels: Labels, folds: Labels, num_classes: int) -> _Floats:
    odds = np.full((len(labels), num_classes), -np.inf)
    for fold in np.unique(folds):
        held_out = folds == fold
        if held_out.all():
            continue
        discriminant = _Discriminant.fit(features[~held_out], labels[~held_out], num_classes)
        odds[held_out] = discriminant.log_odds(features[held_out])
    return odds


def _group_names(
    names: Sequence[str], counts: Mapping[str, int], groups: Mapping[str, Sequence[str | None]] | None
) -> list[str]:
    """One name an image; an image without a group is a group of its own."""
    found: list[str] = []
    for name in names:
        given = groups.get(name, ()) if groups else ()
        of_class = list(given) or [None] * counts[name]
        if len(of_class) != counts[name]:
            raise ValueError(f"{len(of_class)} groups for {counts[name]} images of {name}")
        found += [f"alone/{len(found) + i}" if group is None else f"group/{group}" for i, group in enumerate(of_class)]
    return found
