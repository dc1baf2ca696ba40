import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import _compute_fid

from models.errors import DatasetUnusable
from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance


def sample(n: int, d: int, seed: int, shift: float = 0.0) -> Features:
    """Correlated, of unequal scales, as features are."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(d, d)) * np.linspace(0.1, 2.0, d)
    return rng.normal(size=(n, d)) @ mixing + shift


def by_sqrtm(x: Features, y: Features) -> float:
    covariance_x, covariance_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(covariance_x @ covariance_y).real
    shift = np.square(x.mean(axis=0) - y.mean(axis=0)).sum()
    return float(shift + np.trace(covariance_x) + np.trace(covariance_y) - 2 * np.trace(root))


def by_torchmetrics(x: Features, y: Features) -> float:
    moments = [torch.from_numpy(part) for s in (x, y) for part in (s.mean(axis=0), np.cov(s, rowvar=False))]
    return float(_compute_fid(*moments))


@pytest.mark.parametrize(("n", "m"), [(400, 300), (400, 30), (40, 300), (25, 31)])
def test_agrees_with_sqrtm_and_torchmetrics_on_every_side_of_n_and_d(n: int, m: int) -> None:
    x, y = sample(n, 48, 1), sample(m, 48, 2, shift=0.3)
    ours = frechet_distance(x, y)
    assert ours == pytest.approx(by_torchmetrics(x, y), rel=1e-5)
    # sqrtm is at its limits on singular products: that is why it is not used.
    assert ours == pytest.approx(by_sqrtm(x, y), rel=1e-8 if min(n, m) > 48 else 1e-3)


def test_agrees_with_the_closed_form_of_two_gaussians() -> None:
    rng = np.random.default_rng(0)
    n, d = 200_000, 4
    scale_x, scale_y = np.array([1.0, 2.0, 0.5, 3.0]), np.array([2.0, 1.0, 0.5, 1.5])
    x, y = rng.normal(size=(n, d)) * scale_x, rng.normal(size=(n, d)) * scale_y + 1.0
    truth = d * 1.0 + np.square(scale_x - scale_y).sum()
    assert frechet_distance(x, y) == pytest.approx(truth, rel=0.01)


@pytest.mark.parametrize("n", [10, 200])
def test_a_set_is_at_no_distance_from_itself(n: int) -> None:
    x = sample(n, 32, 3)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0.0, abs=1e-9 * np.square(x).sum())


@pytest.mark.parametrize("n", [10, 200])
def test_a_translation_adds_its_squared_length(n: int) -> None:
    x, y, step = sample(n, 32, 4), sample(n + 5, 32, 4), np.linspace(-1, 2, 32)
    y = y - y.mean(axis=0) + x.mean(axis=0)
    moved = frechet_distance(x, y + step) - frechet_distance(x, y)
    assert moved == pytest.approx(np.square(step).sum(), rel=1e-9)


def test_features_without_variance_change_nothing_so_few_and_many_images_follow_one_formula() -> None:
    x, y = sample(60, 20, 5), sample(70, 20, 6)
    padded = [np.pad(side, ((0, 0), (0, 200)), constant_values=3.0) for side in (x, y)]
    assert frechet_distance(*padded) == pytest.approx(frechet_distance(x, y), rel=1e-9)


def test_few_images_of_one_distribution_score_far_above_zero() -> None:
    rng = np.random.default_rng(7)
    assert frechet_distance(rng.normal(size=(25, 512)), rng.normal(size=(25, 512))) > 100


def test_one_image_is_refused() -> None:
    with pytest.raises(DatasetUnusable, match="Add images"):
        frechet_distance(sample(1, 8, 0), sample(9, 8, 0))
