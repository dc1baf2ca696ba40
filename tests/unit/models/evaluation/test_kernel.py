import numpy as np
import pytest

from models.errors import DatasetUnusable, InvalidSettings
from models.evaluation import kernel
from models.evaluation.features import Features
from models.evaluation.kernel import kernel_distance, kernel_noise, squared_mmd


def sample(n: int, seed: int, shift: float = 0.0, d: int = 16) -> Features:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def naive(x: Features, y: Features) -> float:
    def k(a: Features, b: Features) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_equals_the_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_BLOCK", 5)
    x, y = sample(13, 1), sample(9, 2, shift=0.4)
    assert kernel_distance(x, y).kid == pytest.approx(naive(x, y), rel=1e-12)


def test_is_unbiased_for_samples_of_one_distribution_even_when_they_are_few() -> None:
    values = [squared_mmd(sample(12, seed), sample(15, seed + 10_000)) for seed in range(400)]
    standard_error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * standard_error
    assert min(values) < 0


def test_grows_with_the_shift() -> None:
    scores = [kernel_distance(sample(40, 1), sample(40, 2, shift)).kid for shift in (0.0, 0.5, 1.0)]
    assert scores[0] < scores[1] < scores[2]


def test_the_spread_of_halves_is_the_error_of_the_value() -> None:
    scores = [kernel_distance(sample(40, s), sample(30, s + 999, shift=0.5), num_subsets=50) for s in range(120)]
    actual_error = np.std([score.kid for score in scores])
    assert np.mean([score.kid_std for score in scores]) == pytest.approx(actual_error, rel=0.2)


def test_the_seed_decides_the_subsets_and_nothing_else() -> None:
    x, y = sample(20, 1), sample(24, 2)
    first, again, other = (kernel_distance(x, y, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert other.kid == first.kid and other.kid_std != first.kid_std
    assert first.subset_size == 10


def test_subsets_as_large_as_the_set_are_refused_because_they_have_no_spread() -> None:
    with pytest.raises(InvalidSettings, match="Give 2 to 19") as refused:
        kernel_distance(sample(20, 1), sample(30, 2), subset_size=20)
    assert refused.value.field == "subset_size"


def test_subsets_of_one_matrix_of_kernels_are_subsets_of_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = sample(21, 1), sample(16, 2, shift=0.4)
    spread, noise = kernel_distance(x, y).kid_std, kernel_noise(x, y)
    monkeypatch.setattr(kernel, "_LARGEST_WHOLE", 0)
    assert spread == pytest.approx(kernel_distance(x, y).kid_std, rel=1e-9)
    assert noise == pytest.approx(kernel_noise(x, y), rel=1e-9)


def test_one_image_is_refused() -> None:
    with pytest.raises(DatasetUnusable):
        kernel_distance(sample(1, 1), sample(30, 2))


def test_noise_is_how_much_the_score_varies_when_only_the_second_set_is_drawn_anew() -> None:
    x = sample(20, 1)
    drawn = [sample(30, seed, shift=0.3) for seed in range(2, 202)]
    varies = float(np.std([squared_mmd(x, y) for y in drawn]))
    assert np.mean([kernel_noise(x, y) for y in drawn[:40]]) == pytest.approx(varies, rel=0.25)
    assert kernel_noise(x, drawn[0]) < kernel_distance(x, drawn[0]).kid_std
    assert kernel_noise(x, drawn[0][:3]) == 0
