import numpy as np
import pytest

from models.evaluation.features import Features
from models.evaluation.outliers import OutlierGate


def real(n: int, seed: int = 0, d: int = 32) -> Features:
    return np.random.default_rng(seed).normal(size=(n, d)) + 3.0


@pytest.mark.parametrize("count", [8, 20, 200])
def test_unseen_real_images_pass_and_what_is_unlike_them_all_does_not(count: int) -> None:
    gate = OutlierGate.fit(real(count))
    assert gate.reason is None
    assert np.mean([verdict.passes for verdict in gate.judge(real(300, seed=1))]) >= 0.95
    assert not any(verdict.passes for verdict in gate.judge(real(20, seed=2) + 4.0))


def test_the_threshold_is_one_and_a_half_times_the_distance_of_the_most_distant_of_few() -> None:
    points = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0])[:, None]
    assert OutlierGate.fit(points).threshold == pytest.approx(1.5 * (4 + 5 + 6) / 3)


def test_few_different_images_cannot_tell_and_nothing_is_rejected() -> None:
    gate = OutlierGate.fit(np.repeat(real(7), 3, axis=0))
    assert "7 different real images" in (gate.reason or "")
    verdict = gate.judge(real(1) + 99.0)[0]
    assert verdict.passes and verdict.distance is None
