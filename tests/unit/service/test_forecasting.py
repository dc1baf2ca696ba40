"""How long an adaptation will take: closed forms, and whether nine in ten do fall into the interval."""

import math
import random

import pytest

from service.contracts.adaptations import AdaptationSettings, LoraSettings, TextualInversionSettings
from service.contracts.preflight import Basis, ExpectedSeconds
from service.contracts.search import SearchSettings
from service.forecasting import OTHER, Done, forecast, together, units_of

REGISTERED = {"caching_latents": 0.1, "textual_inversion": 0.01, "lora": 0.02, "search": 0.5, OTHER: 4.0}


def units(steps: int = 100, num_trials: int = 2) -> dict[str, float]:
    settings = AdaptationSettings(
        textual_inversion=TextualInversionSettings(steps=steps, batch_size=2),
        lora=LoraSettings(steps=2 * steps, batch_size=4),
        search=SearchSettings(max_trials=num_trials, images_per_trial=10),
    )
    return units_of(settings, num_train=20)


def done(work: dict[str, float], factor: float = 1.0) -> Done:
    """A job that took so many times what the registered figures say."""
    return Done(work, {stage: factor * number * REGISTERED[stage] for stage, number in work.items()})


def test_work_is_counted_in_steps_times_batch_and_images_of_trials() -> None:
    assert units() == {"caching_latents": 20, "textual_inversion": 200, "lora": 800, "search": 20, OTHER: 1}


def test_without_a_job_the_registered_figures_are_told_as_such_and_without_either_nothing_is() -> None:
    assert forecast(units(), [], None) is None
    told = forecast(units(), [], REGISTERED)
    assert told is not None
    assert (told.basis, told.seconds.expected) == (Basis.REGISTERED_DEFAULT, 2 + 2 + 16 + 10 + 4)
    assert told.seconds.high == pytest.approx(3 * told.seconds.expected, abs=0.1)


def test_jobs_that_agree_are_followed_whatever_was_registered() -> None:
    told = forecast(units(), [done(units(), 2.0)] * 8, REGISTERED)
    assert told is not None
    assert (told.basis, told.seconds.expected) == (Basis.EARLIER_JOBS, 68)
    assert told.stage_seconds["lora"] == 32


def test_a_stage_that_no_job_went_through_is_brought_to_this_machine_s_speed() -> None:
    unsearched = done(units(num_trials=0), 3.0)
    told = forecast(units(), [unsearched], REGISTERED)
    assert told is not None
    assert told.stage_seconds["search"] == 30
    assert forecast(units(), [unsearched], None) is None


def test_the_interval_narrows_with_jobs_and_widens_where_none_was_like_it() -> None:
    def width(work: dict[str, float], number: int) -> float:
        told = forecast(work, [done(units(), 1 + 0.02 * place) for place in range(number)], REGISTERED)
        assert told is not None
        return math.log(told.seconds.high / told.seconds.low)

    assert width(units(), 1) > width(units(), 5) > width(units(), 20)
    assert width(units(steps=3000), 20) > 1.5 * width(units(), 20)


@pytest.mark.parametrize("num_jobs", [2, 5, 20])
def test_nine_in_ten_jobs_take_as_long_as_the_interval_says(num_jobs: int) -> None:
    """A plant whose machine is slower or faster than the registered one, with 30 % of luck in each job."""
    draws, num_held, num_plants = random.Random(7), 0, 400
    for _ in range(num_plants):
        speed = draws.lognormvariate(0, 1)
        taken = [
            done(units(draws.choice((50, 100, 200))), speed * draws.lognormvariate(0, 0.3)) for _ in range(num_jobs)
        ]
        following = done(units(), speed * draws.lognormvariate(0, 0.3))
        told = forecast(following.units, taken, REGISTERED)
        assert told is not None
        num_held += told.seconds.low <= following.total_seconds <= told.seconds.high
    assert (
        0.86 <= num_held / num_plants <= 0.97
    )  # 90 % of 400, give or take two and a half standard errors and the prior


def test_jobs_are_shared_by_workers_and_the_longest_is_the_least() -> None:
    each = [ExpectedSeconds(expected=10, low=5, high=20)] * 3 + [ExpectedSeconds(expected=40, low=20, high=80)]
    assert together(each, 1) == ExpectedSeconds(expected=70, low=35, high=140)
    assert together(each, 2) == ExpectedSeconds(expected=40, low=20, high=80)
    assert together(each, 9) == ExpectedSeconds(expected=40, low=20, high=80)
