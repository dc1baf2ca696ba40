"""Which candidate to try next: a design first, then a model of what the trials showed (Optuna's ask-and-tell).

The model is Optuna's Gaussian process with expected improvement under a constraint, whose probability of being kept is
modelled likewise (Gardner et al. 2014). All five settings are ordered, the checkpoints by their training, and a dozen
or two trials are few: a smooth surrogate over an ordered space makes the most of each.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial

from models.diffusion.seeding import derived_seed
from models.search.space import Candidate, SearchSpace
from models.search.trials import SearchSettings, Trial

#: How often the model is asked again, and how many candidates are then drawn, when it proposes what was tried.
_ASKED_AGAIN, _DRAWN = 3, 200


def design(space: SearchSpace, settings: SearchSettings, first: Sequence[Candidate]) -> list[Candidate]:
    """The candidates tried before any model: ``first``, brought into the space, a sweep over strength, and a spread.

    The sweep is at the most trained checkpoint, with the other settings of the first candidate (or the ranges' middle).
    Its ends come first, then its middle, then what lies between, so that a budget which cuts it short still spans it.
    The spread varies all settings at once, strength in the middle half of its range: a model that has seen a sweep
    alone knows nothing of the others.
    """
    given = [space.nearest(candidate) for candidate in first]
    middle = {name: (low + high) // 2 for name, (low, high) in space.bounds.items()}
    around = {**(space.point(given[0]) if given else middle), "checkpoint": space.bounds["checkpoint"][1]}
    strengths = np.linspace(*space.bounds["strength"], settings.num_sweep).round().astype(int)
    swept = [space.at({**around, "strength": int(strengths[place])}) for place in spread_order(settings.num_sweep)]
    return list(dict.fromkeys([*given, *swept, *_spread(space, settings)]))


def _spread(space: SearchSpace, settings: SearchSettings) -> list[Candidate]:
    """A Latin hypercube: the middle of each of as many strata as there are points, once in every setting."""
    count = settings.num_spread
    rng = np.random.default_rng(derived_seed(settings.seed, "spread", count))
    points: list[dict[str, int]] = [{} for _ in range(count)]
    for name, (low, high) in space.bounds.items():
        margin = (high - low) / 4 if name == "strength" else 0.0
        places = np.linspace(low + margin, high - margin, 2 * count + 1)[1::2]
        for point, place in zip(points, rng.permutation(places), strict=True):
            point[name] = round(float(place))
    return [space.at(point) for point in points]


def spread_order(count: int) -> list[int]:
    """0 to ``count`` - 1, both ends first and then always what is farthest from all before."""
    order = [0, count - 1][:count]
    while len(order) < count:
        rest = [place for place in range(count) if place not in order]
        order.append(max(rest, key=lambda place: min(abs(place - chosen) for chosen in order)))
    return order


def propose(space: SearchSpace, settings: SearchSettings, trials: Sequence[Trial]) -> Candidate | None:
    """A candidate that was not tried; none when there is none left to find.

    A function of the seed, of ``trials`` and of how many they are alone: every call makes a fresh study and sampler,
    so that a search which was interrupted proposes what it would have proposed.
    """
    tried = {trial.candidate for trial in trials}
    told = [_told(space, settings, trial, trials) for trial in trials]
    for attempt in range(_ASKED_AGAIN):
        asked = _ask(space, told, derived_seed(settings.seed, "search", len(trials), attempt) % 2**32)
        if asked not in tried:
            return asked
    rng = np.random.default_rng(derived_seed(settings.seed, "search", len(trials), "drawn"))
    drawn = (space.drawn(rng) for _ in range(_DRAWN))
    return next((candidate for candidate in drawn if candidate not in tried), None)


def _ask(space: SearchSpace, told: Sequence[FrozenTrial], seed: int) -> Candidate:
    with _quiet():
        study = optuna.create_study(sampler=sampler(seed))
        study.add_trials(told)
        return space.at(study.ask(_distributions(space)).params)


def sampler(seed: int) -> optuna.samplers.BaseSampler:
    """The model that proposes."""
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=1)


def _told(space: SearchSpace, settings: SearchSettings, trial: Trial, trials: Sequence[Trial]) -> FrozenTrial:
    """``trial`` in Optuna's words. One without a score counts as bad as the worst, and as all copies: keep away."""
    worst = max((other.kid for other in trials if math.isfinite(other.kid)), default=0.0)
    return create_trial(
        params=space.point(trial.candidate),
        distributions=_distributions(space),
        value=trial.kid if math.isfinite(trial.kid) else worst,
        constraints={"copies": trial.share_copies - settings.max_share_copies},
    )


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    return {name: IntDistribution(low, high) for name, (low, high) in space.bounds.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of every study at level INFO; its level is put back afterwards."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
