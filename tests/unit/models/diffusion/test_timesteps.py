"""Strength to steps, exactly, and to the noise that they begin and end with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.diffusion.base_model import BaseModel
from models.diffusion.timesteps import denoising_steps, schedule, solver
from models.errors import InvalidSettings


@pytest.mark.parametrize(("total", "strength", "steps"), [(50, 0.58, 29), (50, 1.0, 50), (20, 0.6, 12), (3, 0.34, 1)])
def test_steps_are_the_exact_product_rounded_down(total: int, strength: float, steps: int) -> None:
    assert denoising_steps(total, strength) == steps


@given(total=st.integers(1, 1000), percent=st.integers(1, 100))
def test_steps_are_the_product_rounded_down(total: int, percent: int) -> None:
    exact = total * percent // 100
    if exact == 0:
        with pytest.raises(InvalidSettings, match="nothing to denoise"):
            denoising_steps(total, percent / 100)
        return
    assert denoising_steps(total, percent / 100) == exact


@pytest.mark.parametrize(("total", "strength"), [(1, 1.0), (10, 0.1), (20, 0.5), (7, 0.9), (1000, 0.02), (50, 0.9999)])
def test_the_solver_goes_from_the_noise_of_the_strength_to_none(
    tiny_base: BaseModel, total: int, strength: float
) -> None:
    steps = schedule(tiny_base, total, strength)
    made = solver(tiny_base, steps)
    levels = made.sigmas.tolist()
    assert len(made.timesteps) == steps.num_steps == len(levels) - 1 == denoising_steps(total, strength)
    assert levels == sorted(levels, reverse=True) and len(set(levels)) == len(levels) and levels[-1] == 0
    if strength < 1:
        # A start at any number of steps holds as much of its source.
        num_train = tiny_base.noise_scheduler.config.num_train_timesteps
        assert levels[0] == pytest.approx(steps.sigma_max)
        assert abs(int(made.timesteps[0]) - (round(num_train * strength) - 1)) <= 1


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.5, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength: float) -> None:
    with pytest.raises(InvalidSettings, match="out of range"):
        denoising_steps(20, strength)
