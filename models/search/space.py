"""What a search chooses from, as a grid of whole numbers: what it finds reads well and is never tried twice."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.errors import InvalidSettings
from models.generation.config import MIN_SPLICED_STRENGTH

#: Grid steps a unit: strength moves by 0.01, guidance_scale and lora_scale by 0.05.
_STEPS_A_UNIT = {"strength": 100, "guidance_scale": 20, "lora_scale": 20}


@dataclass(frozen=True)
class Candidate:
    """Settings to try: the adapter kept as ``checkpoint``, and how it generates in image-oriented mode."""

    checkpoint: str
    strength: float
    guidance_scale: float
    lora_scale: float
    num_inference_steps: int
    splice_sources: bool = False


@dataclass(frozen=True)
class SearchSpace:
    """Ranges, ends included. ``checkpoints`` go from the least to the most trained; steps are choices, rising.

    ``splice_sources``: whether sources are never spliced, ``(False,)``, always, ``(True,)``, or either, in that order.

    A candidate always has a step to denoise, and is redrawn where it is spliced: where strength x steps would be less
    than 1, or strength less than `MIN_SPLICED_STRENGTH` there, strength is raised. Raises
    ``InvalidSettings`` for a range that is empty, or that leaves no step even at its end.
    """

    checkpoints: tuple[str, ...]
    strength: tuple[float, float] = (0.1, 0.9)
    guidance_scale: tuple[float, float] = (1.0, 4.0)
    lora_scale: tuple[float, float] = (0.5, 1.25)
    num_inference_steps: tuple[int, ...] = (20, 30)
    splice_sources: tuple[bool, ...] = (False,)

    def __post_init__(self) -> None:
        if not self.checkpoints or len(set(self.checkpoints)) < len(self.checkpoints):
            _refuse("checkpoints", "is empty or names one twice", "Name each kept adapter once.")
        steps = self.num_inference_steps
        if not steps or list(steps) != sorted(set(steps)) or steps[0] < 1:
            _refuse("num_inference_steps", "must be different whole numbers from 1, rising", "Give for example 20, 30.")
        if not self.splice_sources or list(self.splice_sources) != sorted(set(self.splice_sources)):
            _refuse("splice_sources", "must be no, yes, or no and yes", "Give (False,), (True,) or (False, True).")
        for name, least, most in (("strength", 0.0, 1.0), ("guidance_scale", 1.0, math.inf), ("lora_scale", 0.0, 2.0)):
            low, high = getattr(self, name)
            if not least <= low <= high <= most or self.bounds[name][0] > self.bounds[name][1]:
                _refuse(name, f"has the range {low} to {high}", f"Give a range within {least} to {most}.")
        if self.bounds["strength"][1] < _least_strength(steps[0]):
            _refuse("strength", f"ends at {self.strength[1]}, which leaves no step of {steps[0]}", "Raise its end.")

    @cached_property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """The grid's ends of each setting, by name, both included."""
        grid = {"checkpoint": (0, len(self.checkpoints) - 1)}
        for name, unit in _STEPS_A_UNIT.items():
            low, high = getattr(self, name)
            grid[name] = (math.ceil(round(low * unit, 6)), math.floor(round(high * unit, 6)))
        choices = {"num_inference_steps": self.num_inference_steps, "splice_sources": self.splice_sources}
        return {**grid, **{name: (0, len(given) - 1) for name, given in choices.items()}}

    def at(self, point: Mapping[str, int]) -> Candidate:
        """The candidate at a ``point`` of the grid, with strength raised to where a step is left."""
        steps = self.num_inference_steps[point["num_inference_steps"]]
        spliced = self.splice_sources[point["splice_sources"]]
        least = max(_least_strength(steps), round(MIN_SPLICED_STRENGTH * _STEPS_A_UNIT["strength"]) if spliced else 0)
        return Candidate(
            checkpoint=self.checkpoints[point["checkpoint"]],
            strength=max(point["strength"], least) / _STEPS_A_UNIT["strength"],
            guidance_scale=point["guidance_scale"] / _STEPS_A_UNIT["guidance_scale"],
            lora_scale=point["lora_scale"] / _STEPS_A_UNIT["lora_scale"],
            num_inference_steps=steps,
            splice_sources=spliced,
        )

    def point(self, candidate: Candidate) -> dict[str, int]:
        """The grid point nearest to ``candidate``, for settings outside the ranges too.

        Raises ``InvalidSettings`` for a checkpoint that is not among them.
        """
        if candidate.checkpoint not in self.checkpoints:
            _refuse("checkpoints", f"lacks {candidate.checkpoint}", f"There are {', '.join(self.checkpoints)}.")
        distances = [abs(steps - candidate.num_inference_steps) for steps in self.num_inference_steps]
        point = {
            "checkpoint": self.checkpoints.index(candidate.checkpoint),
            **{name: round(getattr(candidate, name) * unit) for name, unit in _STEPS_A_UNIT.items()},
            "num_inference_steps": distances.index(min(distances)),
            "splice_sources": int(candidate.splice_sources and len(self.splice_sources) > 1),
        }
        return {name: min(max(place, self.bounds[name][0]), self.bounds[name][1]) for name, place in point.items()}

    def nearest(self, candidate: Candidate) -> Candidate:
        """``candidate``, rounded to the grid and brought into the ranges."""
        return self.at(self.point(candidate))

    def drawn(self, rng: np.random.Generator) -> Candidate:
        """A candidate drawn evenly from the grid."""
        return self.at({name: int(rng.integers(low, high + 1)) for name, (low, high) in self.bounds.items()})

    def unit(self, candidate: Candidate) -> list[float]:
        """Where ``candidate`` lies between the ends, 0 to 1 for each setting that has more than one value."""
        point, spans = self.point(candidate), {name: high - low for name, (low, high) in self.bounds.items()}
        return [(point[name] - self.bounds[name][0]) / span for name, span in spans.items() if span]


def _least_strength(num_inference_steps: int) -> int:
    """The least strength, in grid steps, that leaves one of ``num_inference_steps``."""
    return math.ceil(_STEPS_A_UNIT["strength"] / num_inference_steps)


def _refuse(field: str, problem: str, remedy: str) -> None:
    raise InvalidSettings(f"The search's {field} {problem}.", field=field, remedy=remedy)
