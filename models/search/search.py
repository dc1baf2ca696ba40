"""The search loop: propose, evaluate, tell; until the budget is spent or no gain above the noise is expected."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from models.errors import NonFiniteLoss
from models.search.proposals import design, propose
from models.search.space import Candidate, SearchSpace
from models.search.stopping import expected_gain
from models.search.trials import Observation, SearchSettings, Trial, best_trial, lowest_trial, why_none

StopReason = Literal["budget", "no_gain_expected", "space_exhausted"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SearchOutcome:
    """``best``: the trial to generate with (see `best_trial`); none where none is feasible, and ``problem`` says why.

    ``expected_gain``: what one more trial was expected to lower KID by; none where that was not asked.
    """

    best: Trial | None
    trials: tuple[Trial, ...]
    stopped_because: StopReason
    expected_gain: float | None
    problem: str | None


def _to_nobody(trial: Trial) -> None:
    """Tell nobody of ``trial``."""


def search(
    space: SearchSpace,
    settings: SearchSettings,
    evaluate: Callable[[Candidate], Observation],
    *,
    first: Sequence[Candidate] = (),
    done: Sequence[Trial] = (),
    on_trial: Callable[[Trial], None] = _to_nobody,
) -> SearchOutcome:
    """Minimise KID over ``space`` where no more than ``max_share_copies`` of the images are copies.

    ``first``: candidates tried before all others, brought into the space. ``done``: the trials of an interrupted
    search with the same arguments, which goes on to make the very trials that it would have made. ``on_trial`` hears of
    every new trial, and is where it is kept. A candidate whose images or scores are not finite (`NonFiniteLoss`,
    NaN) is a trial that is not feasible, and its remark says so; whatever else ``evaluate`` raises passes through.
    """
    if [trial.number for trial in done] != list(range(len(done))):
        raise ValueError(f"trials done must be numbered from 0: {[trial.number for trial in done]}")
    trials = list(done)
    designed = design(space, settings, first)
    least = max(settings.min_trials, len(designed))
    gain: float | None = None
    while len(trials) < settings.max_trials:
        gain = expected_gain(space, settings, trials) if len(trials) >= least else None
        if gain is not None and gain < _noise_floor(settings, trials):
            return _outcome(settings, trials, "no_gain_expected", gain)
        number = len(trials)
        candidate = designed[number] if number < len(designed) else propose(space, settings, trials)
        if candidate is None:
            return _outcome(settings, trials, "space_exhausted", gain)
        trials.append(_tried(number, candidate, settings, evaluate))
        on_trial(trials[-1])
    return _outcome(settings, trials, "budget", gain)


def _noise_floor(settings: SearchSettings, trials: Sequence[Trial]) -> float:
    lowest = lowest_trial(trials)
    return 0.0 if lowest is None else settings.noise_share * lowest.kid_noise


def _tried(
    number: int, candidate: Candidate, settings: SearchSettings, evaluate: Callable[[Candidate], Observation]
) -> Trial:
    begun = time.monotonic()
    try:
        observation = evaluate(candidate)
    except NonFiniteLoss as error:
        observation = Observation.failed(str(error), time.monotonic() - begun)
    if not observation.is_scored and observation.remark is None:
        observation = Observation.failed("A score is NaN or infinite.", observation.seconds, observation.num_images)
    share = observation.share_copies
    feasible = observation.is_scored and share is not None and share <= settings.max_share_copies
    _log.info(
        "search_trial", number=number, feasible=feasible, kid=observation.kid, share_copies=share,
        strength=candidate.strength, checkpoint=candidate.checkpoint,
    )  # fmt: skip
    return Trial(number, candidate, observation, feasible)


def _outcome(settings: SearchSettings, trials: list[Trial], why: StopReason, gain: float | None) -> SearchOutcome:
    best = best_trial(trials)
    return SearchOutcome(best, tuple(trials), why, gain, why_none(trials) if best is None else None)
