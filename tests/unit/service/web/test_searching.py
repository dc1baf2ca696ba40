"""The slider shows what strength does because nothing else differs along it."""

from service.api.views import TrialView
from service.contracts.search import SearchTrial
from service.web.searching import plays
from tests.fakes.measured import TRIALS, trial


def seen(one: SearchTrial, **others: object) -> TrialView:
    return TrialView.model_validate({**one.model_dump(), **others, "examples": []})


def test_the_slider_goes_over_trials_that_differ_in_strength_alone_and_the_others_stand_apart() -> None:
    others = [
        seen(trial(4, 0.6, 0.009), splice_sources=True),
        seen(trial(5, 0.5, 0.03), guidance_scale=4.0),
        seen(trial(6, 0.4, 0.03), lora_scale=0.7),
        seen(trial(7, 0.4, 0.03), checkpoint="lora@100"),
        seen(trial(8, 0.4, 0.03), num_inference_steps=40),
    ]
    apart, sweep = plays([*(seen(one) for one in TRIALS), *others], best=4)
    assert [stop.number for stop in sweep.stops] == [0, 1, 3, 2], "by strength"
    assert sweep.stops[sweep.start].number == 1, "the lowest KID of the usable, for the chosen one is not among them"
    assert dict(sweep.shared)["guidance"] == "2.5"
    assert [stop.number for stop in apart.stops] == [4, 5, 6, 7, 8]
    assert apart.stops[apart.start].verdict == "chosen"
    assert ("sources", "spliced") in apart.stops[0].facts


def test_the_slider_begins_at_the_chosen_trial_or_at_the_lowest_kid_whatever_luck_may_do() -> None:
    line = [seen(one) for one in TRIALS]
    doubtful = seen(trial(4, 0.6, 0.015), kid_noise=0.9)
    other = seen(trial(5, 0.6, 0.009), splice_sources=True)
    for best, begins, first in ((2, 2, "sweep"), (5, 4, "apart"), (None, 4, "sweep")):
        found = plays([*line, doubtful, other], best)
        (sweep,) = (play for play in found if play.kind == "sweep")
        assert (sweep.stops[sweep.start].number, found[0].kind) == (begins, first)


def test_a_search_that_has_just_begun_has_one_place_and_none_apart() -> None:
    assert plays([], None) == []
    (only,) = plays([seen(trial(0, 0.5, None))], None)
    assert (len(only.stops), only.start) == (1, 0)
