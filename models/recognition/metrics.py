"""What predictions are worth: accuracy, macro F1, recall of each class, confusion matrix."""

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Confusion = npt.NDArray[np.float64]


def confusion_matrix(truth: Labels, told: Labels, num_classes: int, weights: npt.ArrayLike | None = None) -> Confusion:
    """(C, C) float64: rows are true classes, columns told ones; counts, or sums of ``weights`` (N,)."""
    cells = np.asarray(truth) * num_classes + np.asarray(told)
    counted: Confusion = np.bincount(cells, weights, minlength=num_classes**2).astype(np.float64)
    return counted.reshape(num_classes, num_classes)


def accuracy(confusion: Confusion) -> float:
    """Share of all images that are told right."""
    return float(np.trace(confusion) / max(confusion.sum(), 1e-300))


def recalls(confusion: Confusion) -> npt.NDArray[np.float64]:
    """(C,): share of each class's images that are told right; 0 for a class without images."""
    shares: npt.NDArray[np.float64] = np.diag(confusion) / np.maximum(confusion.sum(axis=1), 1e-300)
    return shares


def macro_f1(confusion: Confusion) -> float:
    """Mean over classes of F1 = 2 right / (images of the class + images told to be of it); 0 where both are 0."""
    return float(np.mean(2 * np.diag(confusion) / np.maximum(confusion.sum(axis=1) + confusion.sum(axis=0), 1e-300)))
