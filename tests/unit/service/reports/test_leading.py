"""The trial that leads while a search runs is the one that would be chosen if it ended now."""

import numpy as np

from models.search.space import Candidate
from models.search.trials import Observation, Trial, best_trial
from service.contracts.search import SearchTrial
from service.reports.adaptation import best_so_far, search_sentence
from tests.fakes.measured import adaptation_result, trial


def as_searched(told: SearchTrial) -> Trial:
    candidate = Candidate(told.checkpoint, told.strength, told.guidance_scale, told.lora_scale, 20, told.splice_sources)
    seen = Observation(
        told.kid, told.kid_std, told.fid, told.share_copies, told.num_images, told.seconds, told.remark, told.kid_noise
    )
    return Trial(told.number, candidate, seen, told.feasible)


def drawn(number: int, draws: np.random.Generator) -> SearchTrial:
    """A trial with any KID and any noise, told or not; one in two has too many copies."""
    spread = float(draws.uniform(0.002, 0.02))
    made = trial(number, 0.5, float(draws.uniform(0.01, 0.05)), copies=float(draws.choice([0.0, 0.9])))
    return made.model_copy(
        update={
            "kid_std": spread,
            "kid_noise": draws.choice([None, spread / 2, np.inf]),
            "splice_sources": bool(draws.integers(2)),
        }
    )


def test_it_leads_by_the_rule_of_the_search() -> None:
    draws = np.random.default_rng(0)
    for _ in range(200):
        trials = [drawn(number, draws) for number in range(6)]
        chosen = best_trial([as_searched(one) for one in trials])
        assert best_so_far(trials) == (chosen.number if chosen is not None else None)


def test_a_spliced_trial_that_is_not_the_lowest_says_why_it_was_chosen() -> None:
    report = adaptation_result().search
    assert report is not None
    lowest, spliced = trial(0, 0.5, 0.020), trial(1, 0.7, 0.021).model_copy(update={"splice_sources": True})
    told = search_sentence([lowest, spliced], report, best=1)
    assert told.endswith(
        "Trial 1 was chosen, whose sources are spliced: its KID is higher than trial 0's by no more than chance."
    )
    of_old = search_sentence([lowest, spliced.model_copy(update={"splice_sources": False})], report, best=1)
    assert of_old.endswith("Trial 1 was chosen."), "by the rule of an earlier revision"
    assert search_sentence([lowest, spliced], report, best=0).endswith("Trial 0 was chosen.")
