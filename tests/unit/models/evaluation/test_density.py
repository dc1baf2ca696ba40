import numpy as np
import pytest

from models.errors import DatasetUnusable
from models.evaluation.density import density_and_coverage, expected_coverage
from models.evaluation.features import Features


def points(*values: float) -> Features:
    return np.array(values)[:, None]


def sample(n: int, seed: int, shift: float = 0.0) -> Features:
    return np.random.default_rng(seed).normal(size=(n, 8)) + shift


def test_a_case_on_a_line_is_what_counting_by_hand_gives() -> None:
    """Six real points, k = 5: each ball reaches the farthest other point, so its radius is 10, 9, 8, 7, 6 or 10."""
    score = density_and_coverage(points(0, 1, 2, 3, 4, 10), points(5.0, 11.5, 99.0))
    # 5.0 lies in all six balls; 11.5 only in that of 10 (radius 10); 99 in none.
    assert score.num_neighbours == 5
    assert score.density == pytest.approx((6 + 1 + 0) / (5 * 3))
    assert score.coverage == 1.0


def test_with_few_real_images_all_others_are_neighbours() -> None:
    score = density_and_coverage(points(0, 1, 3), points(-1.5, 5.2))  # radii 3, 2, 3
    assert score.num_neighbours == 2
    assert score.density == pytest.approx((1 + 1) / (2 * 2))  # -1.5 in the ball of 0, 5.2 in that of 3
    assert score.coverage == pytest.approx(2 / 3)


def test_unseen_real_images_have_density_one_and_the_expected_coverage() -> None:
    scores = [density_and_coverage(sample(40, seed), sample(25, seed + 9999)) for seed in range(500)]
    assert np.mean([score.density for score in scores]) == pytest.approx(1.0, abs=0.05)
    assert np.mean([score.coverage for score in scores]) == pytest.approx(expected_coverage(40, 25), abs=0.01)


def test_one_image_over_and_over_is_dense_but_covers_little_and_strangers_neither() -> None:
    real = sample(100, 0)
    repeated = density_and_coverage(real, np.repeat(real.mean(axis=0)[None], 50, axis=0))
    strange = density_and_coverage(real, sample(50, 1, shift=9.0))
    assert repeated.density > 1.0
    assert (strange.density, strange.coverage) == (0.0, 0.0)
    one = density_and_coverage(real, np.repeat(real[:1], 50, axis=0))
    assert one.coverage < 0.2


@pytest.mark.parametrize(("num_real", "num_synthetic"), [(1, 5), (5, 0)])
def test_too_few_images_are_refused(num_real: int, num_synthetic: int) -> None:
    with pytest.raises(DatasetUnusable):
        density_and_coverage(sample(num_real, 0), sample(num_synthetic, 1))
