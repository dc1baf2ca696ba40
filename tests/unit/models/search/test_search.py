"""The loop, its stop and its choice, on made-up objectives; and why FID alone is no objective."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import optuna
import pytest

from models.diffusion.seeding import derived_seed
from models.errors import Canceled, NonFiniteLoss
from models.evaluation.copies import copy_threshold, distance_blocks
from models.evaluation.features import Features
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import kernel_distance
from models.search.proposals import spread_order
from models.search.search import search
from models.search.space import Candidate, SearchSpace
from models.search.trials import Observation, SearchSettings, Trial, best_trial

SPACE = SearchSpace(("token@50", "lora@100", "lora@200"))
DEFAULTS = Candidate("lora@200", 0.6, 2.0, 1.0, 20)
Evaluate = Callable[[Candidate], Observation]


def observed(kid: float | None, share_copies: float | None = 0.0, kid_std: float = 0.01) -> Observation:
    return Observation(kid, kid_std, kid, share_copies, 24, 1.0)


def noise(candidate: Candidate, spread: float) -> float:
    """The same for the same candidate, as with common random numbers."""
    return float(np.random.default_rng(derived_seed(0, str(candidate))).normal(0, spread))


def bowl(candidate: Candidate) -> Observation:
    """Best at strength 0.55, copies below 0.35."""
    kid = 2 * (candidate.strength - 0.55) ** 2 + 0.1 * (candidate.guidance_scale - 1.5) ** 2
    kid += {"token@50": 0.3, "lora@100": 0.0, "lora@200": 0.05}[candidate.checkpoint]
    return observed(kid + noise(candidate, 0.002), float(candidate.strength < 0.35), kid_std=0.002)


def trial(number: int, strength: float, kid: float, kid_std: float = 0.01, feasible: bool = True) -> Trial:
    return Trial(number, replace(DEFAULTS, strength=strength), observed(kid, 0.0, kid_std), feasible)


# ------------------------------------------------------------------------------------------------ why not FID


class MadeUpClass:
    """Reals of a class as 8 normal features, and a generator that copies, then invents, then drifts with strength.

    Below a strength of 0.25 an image is its source with a trace of noise; from 0.45 on it is a new member of the class;
    beyond 0.7 it leaves the class.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.reals: Features = rng.normal(size=(40, 8))
        self.fresh: Features = rng.normal(size=(40, 8))
        self.unseen: Features = rng.normal(size=(400, 8))

    def made(self, candidate: Candidate) -> Features:
        invented = float(np.clip((candidate.strength - 0.25) / 0.2, 0.02, 1.0))
        drift = max(0.0, candidate.strength - 0.7) * 4 + 0.05 * abs(candidate.guidance_scale - 2)
        return math.sqrt(1 - invented**2) * self.reals + invented * self.fresh + drift

    def honest(self, candidate: Candidate) -> Observation:
        """As `TrialScorer` does: where at most half are copies, the others are scored, each but to its own source."""
        made = self.made(candidate)
        [(_, distances)] = distance_blocks(made, self.reals)
        is_new = distances.min(axis=1) >= copy_threshold(self.reals)
        passes = is_new if is_new.mean() >= 0.5 else np.ones(len(made), dtype=bool)
        kernel = kernel_distance(self.reals, made[passes], left_out=np.eye(len(made), dtype=bool)[:, passes])
        fid = frechet_distance(self.reals, made)
        return Observation(kernel.kid, kernel.kid_std, fid, 1 - float(is_new.mean()), len(made), 0.0)

    def naive(self, candidate: Candidate) -> Observation:
        honest = self.honest(candidate)
        return replace(honest, kid=honest.fid, kid_std=0.0, share_copies=0.0)


def test_fid_alone_chooses_the_lowest_strength_and_ours_does_not() -> None:
    made_up, settings = MadeUpClass(), SearchSettings(max_trials=14, min_trials=14)
    naive = search(SPACE, settings, made_up.naive, first=[DEFAULTS]).best
    ours = search(SPACE, settings, made_up.honest, first=[DEFAULTS]).best
    assert naive is not None and ours is not None
    # FID is taken in by copies: it goes to where every image is one.
    assert naive.candidate.strength <= 0.25
    assert made_up.honest(naive.candidate).share_copies == 1.0
    # Ours is among images that are new, and to members of the class that nobody has seen no trial is much nearer.
    assert 0.35 <= ours.candidate.strength <= 0.75
    assert ours.share_copies <= 0.25

    to_unseen = [
        kernel_distance(made_up.unseen, made_up.made(replace(ours.candidate, strength=strength)))
        for strength in (ours.candidate.strength, 0.4, 0.5, 0.6, 0.8)
    ]
    assert to_unseen[0].kid <= min(one.kid for one in to_unseen) + to_unseen[0].kid_std


def test_a_copy_is_not_rewarded_for_being_like_its_own_source() -> None:
    made_up = MadeUpClass()
    copies, fresh = (made_up.honest(replace(DEFAULTS, strength=strength)) for strength in (0.3, 0.6))
    assert copies.kid == pytest.approx(0, abs=2 * copies.kid_std)  # type: ignore[operator]
    assert fresh.kid == pytest.approx(0, abs=2 * fresh.kid_std)  # type: ignore[operator]


# ------------------------------------------------------------------------------------------------ the loop


def test_defaults_come_first_then_a_sweep_over_strength_at_the_most_trained_checkpoint_then_a_spread() -> None:
    outcome = search(SPACE, SearchSettings(max_trials=8), bowl, first=[replace(DEFAULTS, checkpoint="lora@100")])
    assert [t.candidate.checkpoint for t in outcome.trials[:5]] == ["lora@100"] + 4 * ["lora@200"]
    assert [t.candidate.strength for t in outcome.trials[:5]] == [0.6, 0.1, 0.9, 0.37, 0.63]
    assert {t.candidate.guidance_scale for t in outcome.trials[:5]} == {2.0}
    spread = [t.candidate for t in outcome.trials[5:8]]
    assert {candidate.checkpoint for candidate in spread} == {"token@50", "lora@100", "lora@200"}
    assert sorted(candidate.strength for candidate in spread) == [0.37, 0.5, 0.63]
    assert sorted(candidate.guidance_scale for candidate in spread) == [1.5, 2.5, 3.5]
    assert outcome.stopped_because == "budget"
    assert sorted(spread_order(7)) == list(range(7)) and spread_order(1) == [0]


def test_the_model_finds_better_settings_than_the_sweep_and_tries_nothing_twice() -> None:
    outcome = search(SPACE, SearchSettings(min_trials=16), bowl, first=[DEFAULTS])
    assert len({t.candidate for t in outcome.trials}) == 16, "the default budget"
    swept = min(t.kid for t in outcome.trials[:5] if t.feasible)
    assert outcome.best is not None and outcome.best.feasible
    assert outcome.best.kid < swept - 0.02
    assert outcome.best.candidate.checkpoint == "lora@100"


@pytest.mark.parametrize("interrupted_after", [2, 10])
def test_an_interrupted_search_goes_on_to_make_the_same_trials(interrupted_after: int) -> None:
    settings = SearchSettings(max_trials=12, min_trials=12, seed=5)
    whole = search(SPACE, settings, bowl, first=[DEFAULTS])
    kept: list[Trial] = []

    def killed(made: Trial) -> None:
        kept.append(made)
        if len(kept) == interrupted_after:
            raise Canceled("stop")

    with pytest.raises(Canceled):
        search(SPACE, settings, bowl, first=[DEFAULTS], on_trial=killed)
    assert len(kept) == interrupted_after
    resumed = search(SPACE, settings, bowl, first=[DEFAULTS], done=kept)
    assert resumed == whole
    other = search(SPACE, replace(settings, seed=6), bowl, first=[DEFAULTS])
    assert other.trials[:5] == whole.trials[:5] and other.trials != whole.trials


def test_a_flat_noisy_objective_stops_early_and_a_steep_one_does_not() -> None:
    settings = SearchSettings(max_trials=24, min_trials=8)

    def flat(candidate: Candidate) -> Observation:
        return observed(0.5 + noise(candidate, 0.01), kid_std=0.01)

    early = search(SPACE, settings, flat, first=[DEFAULTS])
    assert early.stopped_because == "no_gain_expected"
    assert 8 <= len(early.trials) < 14
    assert early.expected_gain is not None and early.expected_gain < 0.5 * 0.01

    def steep(candidate: Candidate) -> Observation:
        return observed(3 * (4 - candidate.guidance_scale) ** 2 + (1.25 - candidate.lora_scale), kid_std=1e-4)

    late = search(SPACE, replace(settings, max_trials=12), steep, first=[DEFAULTS])
    assert late.stopped_because == "budget"
    assert len(late.trials) == 12


def test_a_candidate_whose_images_are_not_finite_is_a_trial_and_the_search_goes_on() -> None:
    def breaks(candidate: Candidate) -> Observation:
        if candidate.strength > 0.8:
            raise NonFiniteLoss("Every image of a batch holds NaN or infinite values.")
        return observed(math.nan) if candidate.strength > 0.62 else bowl(candidate)

    outcome = search(SPACE, SearchSettings(max_trials=10, min_trials=10), breaks, first=[DEFAULTS])
    assert len(outcome.trials) == 10
    raised, nan = outcome.trials[2], outcome.trials[4]
    assert raised.observation.remark is not None and "NaN" in raised.observation.remark
    assert nan.observation == Observation.failed("A score is NaN or infinite.", 1.0, 24)
    assert not raised.feasible and not nan.feasible
    assert outcome.best is not None and outcome.best.candidate.strength <= 0.62


def test_where_everything_is_a_copy_there_is_no_best_and_the_outcome_says_why() -> None:
    def copies(candidate: Candidate) -> Observation:
        if candidate.strength > 0.8:
            return Observation.failed("2 of 24 images hold NaN or infinite values.", 1.0)
        return observed(0.1, 1 - candidate.strength / 2)

    outcome = search(SPACE, SearchSettings(max_trials=9), copies, first=[DEFAULTS])
    assert outcome.best is None and outcome.stopped_because == "budget"
    assert outcome.problem is not None
    assert "copies" in outcome.problem and "at strength 0." in outcome.problem and "2 of 24" in outcome.problem


def test_a_space_that_is_used_up_ends_the_search() -> None:
    small = SearchSpace(("a",), (0.5, 0.52), (2.0, 2.0), (1.0, 1.0), (20,))
    outcome = search(
        small, SearchSettings(max_trials=9, num_sweep=0, num_spread=0, noise_share=0.0), lambda c: observed(c.strength)
    )
    assert outcome.stopped_because == "space_exhausted"
    assert sorted(t.candidate.strength for t in outcome.trials) == [0.5, 0.51, 0.52]


def test_searching_leaves_optunas_logging_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    search(SPACE, SearchSettings(max_trials=8), bowl)
    assert optuna.logging.get_verbosity() == before
    assert "study" not in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ the choice


def test_the_lowest_score_is_best_and_of_equal_ones_the_first() -> None:
    trials = [trial(0, 0.9, 0.104), trial(1, 0.4, 0.100), trial(2, 0.6, 0.100)]
    assert best_trial(trials) is trials[1]


def test_a_low_score_that_may_be_luck_does_not_win() -> None:
    """The first was scored on the few images that the copy gate left."""
    lucky, sure = trial(0, 0.4, 0.100), trial(1, 0.6, 0.120)
    noisy = {one.number: replace(one.observation, kid_noise=noise) for one, noise in ((lucky, 0.05), (sure, 0.01))}
    trials = [replace(one, observation=noisy[one.number]) for one in (lucky, sure)]
    assert best_trial(trials) is trials[1]
    assert best_trial([lucky, sure]) is lucky, "equally noisy"


def test_a_spliced_trial_is_chosen_within_a_standard_error_of_the_lowest() -> None:
    def spliced(number: int, kid: float, feasible: bool = True) -> Trial:
        made = trial(number, 0.5 + number / 100, kid, feasible=feasible)
        return replace(made, candidate=replace(made.candidate, splice_sources=True))

    lowest, near, nearer, worse = trial(0, 0.5, 0.100), spliced(1, 0.109), spliced(2, 0.108), spliced(3, 0.111)
    assert best_trial([lowest, near, nearer, worse]) is nearer
    assert best_trial([lowest, worse]) is lowest, "its spread is 0.01"
    assert best_trial([lowest, spliced(1, 0.109, feasible=False)]) is lowest
    assert best_trial([spliced(0, 0.104), spliced(1, 0.1)]).number == 1  # type: ignore[union-attr]


def test_a_trial_that_is_not_feasible_is_never_best() -> None:
    trials = [trial(0, 0.1, -1.0, feasible=False), trial(1, 0.5, 0.3)]
    assert best_trial(trials) is trials[1]
    assert best_trial(trials[:1]) is None
