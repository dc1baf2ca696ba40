import numpy as np
import numpy.typing as npt
import pytest

from models.errors import DatasetUnusable
from models.evaluation.copies import copy_threshold, distance_blocks
from models.evaluation.features import Features


def real(n: int = 200, seed: int = 0) -> Features:
    return np.random.default_rng(seed).normal(size=(n, 32)) + 5.0


def nearest(features: Features, reals: Features) -> npt.NDArray[np.float64]:
    return np.concatenate([block.min(axis=1) for _, block in distance_blocks(features, reals)])


def test_distances_are_euclidean() -> None:
    reals = np.array([[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]])
    [(first, block)] = distance_blocks(np.array([[0.0, 5.0], [9.0, 0.0]]), reals)
    assert first == 0
    assert block == pytest.approx(np.array([[5.0, 10**0.5, 125**0.5], [9.0, 52**0.5, 1.0]]))


def test_the_threshold_is_the_fifth_percentile_of_nearest_distances() -> None:
    points = np.cumsum(np.arange(1.0, 23.0))[:, None]  # gaps 2, 3, ... 22: nearest distances 2, 2, 3, ... 21, 22
    nearest = [2.0, *np.arange(2.0, 23.0)]
    assert copy_threshold(points) == pytest.approx(np.percentile(nearest, 5))


def test_duplicates_do_not_lower_the_threshold() -> None:
    reals = real(60)
    twice = np.concatenate([reals, reals[::-1] * (1 + 1e-7), reals[:10]])
    assert copy_threshold(twice) == pytest.approx(copy_threshold(reals), rel=1e-4)


def test_a_near_copy_is_caught_and_unseen_real_images_pass() -> None:
    reals, unseen = real(), real(seed=1)
    copies = reals[:20] + np.random.default_rng(2).normal(size=(20, 32)) * 0.1
    threshold = copy_threshold(reals)
    assert (nearest(copies, reals) < threshold).all()
    assert (nearest(unseen, reals) >= threshold).mean() == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("count", [1, 30])
def test_images_that_are_all_the_same_cannot_say_what_a_copy_is(count: int) -> None:
    with pytest.raises(DatasetUnusable, match="different real images"):
        copy_threshold(np.repeat(real(1), count, axis=0))
