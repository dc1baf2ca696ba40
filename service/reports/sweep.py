"""The trials of a search that differ in strength alone."""

from collections.abc import Sequence
from typing import TypeVar

from service.contracts.search import SearchTrial

Trial = TypeVar("Trial", bound=SearchTrial)


def swept(trials: Sequence[Trial]) -> list[Trial]:
    """The most trials that have everything else in common, by strength; one alone where no two have."""
    groups: dict[object, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(_around(trial), []).append(trial)
    most = max(groups.values(), key=len, default=[])
    return sorted(most, key=lambda trial: (trial.strength, trial.number))


def _around(trial: SearchTrial) -> object:
    """Everything that was varied but strength."""
    return trial.checkpoint, trial.guidance_scale, trial.lora_scale, trial.num_inference_steps, trial.splice_sources
