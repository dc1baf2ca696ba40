"""Strength to steps, exactly, and the same count in stock diffusers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.diffusion.timesteps import denoising_steps, equivalent_strength
from models.errors import InvalidSettings


@pytest.mark.parametrize(("total", "strength", "steps"), [(50, 0.58, 29), (50, 1.0, 50), (20, 0.6, 12), (3, 0.34, 1)])
def test_steps_are_the_exact_product_rounded_down(total: int, strength: float, steps: int) -> None:
    assert denoising_steps(total, strength) == steps


@given(total=st.integers(1, 1000), percent=st.integers(1, 100))
def test_stock_diffusers_takes_as_many_steps_at_the_recorded_strength(total: int, percent: int) -> None:
    exact = total * percent // 100
    if exact == 0:
        with pytest.raises(InvalidSettings, match="nothing to denoise"):
            denoising_steps(total, percent / 100)
        return
    assert denoising_steps(total, percent / 100) == exact
    assert min(int(total * equivalent_strength(total, exact)), total) == exact


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.5, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(InvalidSettings, match="out of range"):
        denoising_steps(20, strength)
