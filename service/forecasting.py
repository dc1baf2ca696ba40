"""How long an adaptation will take, learned from those that are over. Pure arithmetic.

A job's work is counted in units a stage (steps times batch size, images of trials); a stage's rate is the median of
seconds a unit. What the rates say of a job, and what it took in truth, differ by a factor: by the load of the machine,
by settings that units do not tell, by a search that stops early. The logarithm of that factor, over the jobs, each
judged by the others' rates, gives the interval: Student's t, with a prior worth `_PRIOR_JOBS` jobs, so that it begins
wide and narrows with what is seen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

from service.contracts.adaptations import AdaptationSettings
from service.contracts.preflight import Basis, ExpectedSeconds

#: By the stage, as results name it.
Stages = Mapping[str, float]

#: Loading, publishing and whatever else does not grow with the settings.
OTHER: Final = "other"
STAGES: Final = ("caching_latents", "textual_inversion", "lora", "search")
_PRIOR_JOBS: Final = 3
_PRIOR_SPREAD: Final = 0.25
#: More spread where the job is e times as large, or as small, as any that was seen.
_SPREAD_PER_FOLD: Final = 0.15
_LEAST_SECONDS: Final = 1e-3
#: Of figures that another machine gave.
_ELSEWHERE_FACTOR: Final = 3.0
#: 95th percentile of Student's t, by degrees of freedom from 1 on; then that of the normal distribution, nearly.
_T95: Final = (
    6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.90, 1.86, 1.83, 1.81, 1.80, 1.78, 1.77, 1.76, 1.75, 1.75, 1.74, 1.73, 1.73,
    1.73, 1.72, 1.72, 1.71, 1.71, 1.71, 1.71, 1.70, 1.70, 1.70, 1.70,
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """A finished job: its work in units, and the seconds that each stage took."""

    units: Stages
    seconds: Stages

    @property
    def total_seconds(self) -> float:
        """Of all stages."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Forecast:
    """Of one job; ``stage_seconds`` add up to what is expected."""

    seconds: ExpectedSeconds
    stage_seconds: dict[str, float]
    basis: Basis


def units_of(settings: AdaptationSettings, num_train: int) -> dict[str, float]:
    """The work of one class."""
    inversion, lora, search = settings.textual_inversion, settings.lora, settings.search
    return {
        "caching_latents": float(num_train),
        "textual_inversion": float(inversion.steps * inversion.batch_size),
        "lora": float(lora.steps * lora.batch_size),
        "search": float(search.max_trials * search.images_per_trial),
        OTHER: 1.0,
    }


def forecast(todo: Stages, history: Sequence[Done], registered: Stages | None) -> Forecast | None:
    """What a job of so many units will take; None where nothing tells.

    ``registered``: seconds a unit as they were measured somewhere, for stages that no job of the history went through.
    """
    rates = _rates(history, registered)
    if any(units and stage not in rates for stage, units in todo.items()):
        return None
    stages = _predicted(todo, rates)
    total = sum(stages.values())
    if not history:
        spread = math.log(_ELSEWHERE_FACTOR)
        return _told(stages, 0.0, spread, Basis.REGISTERED_DEFAULT)
    factors = _factors(history, registered)
    centre = fmean(factors) if factors else 0.0
    freedom = _PRIOR_JOBS + max(len(factors), 1) - 1
    squares = _PRIOR_JOBS * _PRIOR_SPREAD**2 + sum((one - centre) ** 2 for one in factors)
    spread = math.hypot(
        math.sqrt(squares / freedom * (1 + 1 / len(history))), _SPREAD_PER_FOLD * _folds(total, history)
    )
    return _told(stages, centre, _t95(freedom) * spread, Basis.EARLIER_JOBS)


def together(each: Sequence[ExpectedSeconds], num_workers: int) -> ExpectedSeconds:
    """Jobs one after another, shared by workers. What makes one slow makes all slow, so the ends add up, too."""
    shares = max(1, min(num_workers, len(each)))
    return ExpectedSeconds(
        expected=_shared([one.expected for one in each], shares),
        low=_shared([one.low for one in each], shares),
        high=_shared([one.high for one in each], shares),
    )


def _shared(seconds: Sequence[float], shares: int) -> float:
    return _tenths(max(max(seconds), sum(seconds) / shares))


def _rates(history: Sequence[Done], registered: Stages | None) -> dict[str, float]:
    """Seconds a unit. A registered one, of a stage that was not gone through, is brought to this machine's speed."""
    seen: dict[str, list[float]] = {}
    for done in history:
        for stage, seconds in done.seconds.items():
            if done.units.get(stage, 0) > 0:
                seen.setdefault(stage, []).append(seconds / done.units[stage])
    rates = {stage: median(values) for stage, values in seen.items()}
    if registered is None:
        return rates
    common = [rates[stage] / registered[stage] for stage in ("textual_inversion", "lora") if stage in rates]
    speed = fmean(common) if common else 1.0
    return {stage: seconds * speed for stage, seconds in registered.items()} | rates


def _predicted(units: Stages, rates: Stages) -> dict[str, float]:
    return {stage: number * rates[stage] for stage, number in units.items() if number}


def _factors(history: Sequence[Done], registered: Stages | None) -> list[float]:
    """Logarithms of what each job took over what the others' rates say of it; none of a single one."""
    found = []
    for place, done in enumerate(history):
        others = [*history[:place], *history[place + 1 :]]
        rates = _rates(others, registered)
        if others and all(stage in rates for stage, units in done.units.items() if units):
            said = sum(_predicted(done.units, rates).values())
            found.append(math.log(max(done.total_seconds, _LEAST_SECONDS) / max(said, _LEAST_SECONDS)))
    return found


def _folds(total: float, history: Sequence[Done]) -> float:
    """How many times e the job lies beyond the longest and the shortest that were seen; 0 between them."""
    seen = [max(done.total_seconds, _LEAST_SECONDS) for done in history]
    total = max(total, _LEAST_SECONDS)
    return max(0.0, math.log(total / max(seen)), math.log(min(seen) / total))


def _told(stages: Stages, centre: float, half: float, basis: Basis) -> Forecast:
    factor = math.exp(centre)
    expected = sum(stages.values()) * factor
    seconds = ExpectedSeconds(
        expected=_tenths(expected), low=_tenths(expected * math.exp(-half)), high=_tenths(expected * math.exp(half))
    )
    return Forecast(seconds, {stage: _tenths(one * factor) for stage, one in stages.items()}, basis)


def _t95(freedom: int) -> float:
    return _T95[freedom - 1] if freedom <= len(_T95) else 1.66


def _tenths(seconds: float) -> float:
    return round(seconds, 1)
