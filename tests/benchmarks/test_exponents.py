"""Exponents of lines whose law is known."""

import pytest

from tests.benchmarks.scale_lines import Line


def line(points: dict[int, float], unit: str = "s") -> Line:
    return Line("images", "something", unit, points)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_a_power_is_found(power: float) -> None:
    found = line({size: 3.0 * size**power for size in (20, 100, 300)})
    assert found.exponent == pytest.approx(power) and found.last_exponent == pytest.approx(power)
    assert found.passes == (power <= 1.1)


def test_a_fixed_cost_does_not_hide_what_grows_like_a_square_in_the_end() -> None:
    found = line({size: 10.0 + (size / 30) ** 2 for size in (10, 100, 1_000)})
    assert found.exponent < 1.1 < found.last_exponent
    assert not found.passes


def test_what_is_below_the_floor_is_noise() -> None:
    assert line({10: 0.2, 100: 4.9, 1_000: 3.0}, "ms").cells()[3:] == ["0.00", "0.00", "yes"]
    assert not line({10: 0.2, 100: 4.9, 1_000: 99.0}, "ms").passes
