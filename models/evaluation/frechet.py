"""Fréchet distance between two sets of features (FID, arXiv 1706.08500), exact for few images and for many."""

import numpy as np
import numpy.typing as npt

from models.errors import DatasetUnusable
from models.evaluation.features import Features


def frechet_distance(x: Features, y: Features) -> float:
    """Squared Fréchet distance of the Gaussians fitted to ``x`` (n, d) and ``y`` (m, d), in float64.

    FID = ||mean_x - mean_y||^2 + Tr C_x + Tr C_y - 2 Tr (C_x C_y)^(1/2), with unbiased covariances C.

    With centred X = (x - mean_x) / sqrt(n - 1) and Y alike, C_x = X^T X, and the non-zero eigenvalues of C_x C_y are
    the squared singular values of X Y^T. So the last trace is its nuclear norm: no square root of a d x d matrix, no
    complex part, no epsilon on the diagonal. X Y^T is n x m; where n > d, X is first replaced by the d x d triangle of
    its QR factors, which changes no singular value. At n >> d it is thus never larger than d x d, and small
    eigenvalues are never squared and rooted again, as they are on the way through covariances.

    Biased upwards at small n: compare only with scores at the same counts. Raises `DatasetUnusable` for fewer than two
    images on a side.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"need (n, d) and (m, d), got {x.shape} and {y.shape}")
    if min(len(x), len(y)) < 2:
        raise DatasetUnusable(
            f"FID of {len(x)} against {len(y)} images: a covariance needs two.", field="images", remedy="Add images."
        )
    x, y = x.astype(np.float64), y.astype(np.float64)
    root_x, root_y = _root(x), _root(y)
    shift = float(np.square(x.mean(axis=0) - y.mean(axis=0)).sum())
    spread = float(np.square(root_x).sum() + np.square(root_y).sum())
    overlap = float(np.linalg.svd(root_x @ root_y.T, compute_uv=False).sum())
    return max(0.0, shift + spread - 2.0 * overlap)


def _root(features: Features) -> npt.NDArray[np.float64]:
    """R (k, d) with R^T R = covariance of ``features`` (n, d), k = min(n, d)."""
    centred: npt.NDArray[np.float64] = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    if len(features) <= features.shape[1]:
        return centred
    triangle: npt.NDArray[np.float64] = np.asarray(np.linalg.qr(centred, mode="r"), dtype=np.float64)
    return triangle
