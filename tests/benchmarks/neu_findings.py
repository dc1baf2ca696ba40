"""What the few-shot benchmark found, as plain figures in one JSON file, and means with intervals by bootstrap."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Cell:
    """One class of one row of one split against the class's test images.

    ``matched_*`` and ``floor_*`` are at equal counts. ``copy_floor_kid`` stands in the generation's own report, which
    knows no test image. ``share_copies``: of all that were made. ``is_complete``: as many as asked for are no copies.
    """

    split: int
    arm: str
    mode: str
    class_name: str
    num_images: int
    fid: float
    kid: float
    kid_std: float
    matched_fid: float
    matched_kid: float
    floor_fid: float
    floor_kid: float
    density: float | None = None
    coverage: float | None = None
    copy_floor_kid: float | None = None
    share_copies: float | None = None
    is_complete: bool = True


@dataclass(frozen=True)
class Tried:
    """A trial at the base model's default settings, its sources spliced or not."""

    splice_sources: bool
    kid: float | None
    share_copies: float | None


@dataclass(frozen=True)
class Found:
    """What one class's adaptation and search came to. ``defaults``: its first trials, before anything was proposed."""

    split: int
    arm: str
    class_name: str
    checkpoint: str | None
    strength: float | None
    guidance_scale: float | None
    lora_scale: float | None
    num_inference_steps: int | None
    splice_sources: bool | None
    kid: float | None
    share_copies: float | None
    defaults: list[Tried]
    num_trials: int
    stopped_because: str | None
    training_seconds: float
    search_seconds: float


@dataclass(frozen=True)
class Gated:
    """How the images for recognition came about, one class of one split."""

    split: int
    class_name: str
    num_images: int
    num_requested: int
    num_candidates: int
    rejected: dict[str, int]


@dataclass(frozen=True)
class Recognised:
    """One split's recognition: by arm. ``runs``: accuracy of each seed, the same seeds in every arm."""

    split: int
    sentence: str
    chosen_ratio: float
    validation: dict[str, float]
    accuracy: dict[str, float]
    macro_f1: dict[str, float]
    runs: dict[str, list[float]]
    recall: dict[str, dict[str, float]]
    notes: list[str]
    seconds: float


@dataclass
class Findings:
    """Everything a report is written from. ``facts``: command, commits, machine and what the figures stand on."""

    plan: dict[str, Any]
    facts: dict[str, str] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    reference: list[Cell] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    gated: list[Gated] = field(default_factory=list)
    recognised: list[Recognised] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Keep it."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        fresh.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Findings":
        """What was kept. Ends the program where nothing was."""
        if not path.exists():
            raise SystemExit(f"{path} is not there yet: run without --report-only first.")
        kept = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            plan=kept["plan"],
            facts=kept["facts"],
            cells=[Cell(**one) for one in kept["cells"]],
            reference=[Cell(**one) for one in kept["reference"]],
            found=[Found(**one | {"defaults": [Tried(**each) for each in one["defaults"]]}) for one in kept["found"]],
            gated=[Gated(**one) for one in kept["gated"]],
            recognised=[Recognised(**one) for one in kept["recognised"]],
        )

    def joined(self, others: Sequence["Findings"]) -> "Findings":
        """These with the splits of ``others``, done elsewhere. Ends the program where plan, machine or model differ."""
        for other in others:
            if other.plan != self.plan:
                raise SystemExit("The folders were begun with different plans: they cannot stand in one table.")
            for fact in ("commits", "machine", "base_model"):
                if other.facts[fact] != self.facts[fact]:
                    raise SystemExit(f"{fact}: {self.facts[fact]} here and {other.facts[fact]} there, not one table.")
        every = [self, *others]
        return Findings(
            plan=self.plan,
            facts=self.facts | {"command": "; ".join(one.facts["command"] for one in every)},
            cells=[cell for one in every for cell in one.cells],
            reference=[cell for one in every for cell in one.reference],
            found=[found for one in every for found in one.found],
            gated=[gated for one in every for gated in one.gated],
            recognised=sorted((found for one in every for found in one.recognised), key=lambda found: found.split),
        )

    @property
    def plan_num_synthetic(self) -> int:
        """Judged images a class, for recognition."""
        largest: float = max(self.plan["ratios"])
        return round(largest * int(self.plan["num_train"]))

    def by_split(self, cells: Sequence[Cell], figure: str) -> dict[int, float]:
        """The mean of a figure over the classes, of each split that has all of them."""
        classes = self.plan["classes"]
        values: dict[int, list[float]] = {}
        for cell in cells:
            if (value := getattr(cell, figure)) is not None:
                values.setdefault(cell.split, []).append(value)
        return {split: float(np.mean(of)) for split, of in sorted(values.items()) if len(of) == len(classes)}

    def row(self, arm: str, mode: str) -> list[Cell]:
        """All cells of one row of the ablation."""
        return [cell for cell in self.cells if (cell.arm, cell.mode) == (arm, mode)]


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % bootstrap interval; no interval where there was one value alone."""

    value: float
    low: float | None
    high: float | None

    def told(self, digits: int, factor: float = 1.0) -> str:
        """As a table shows it."""
        value = f"{factor * self.value:.{digits}f}"
        if self.low is None or self.high is None:
            return value
        return f"{value} ({factor * self.low:.{digits}f} to {factor * self.high:.{digits}f})"


def mean_over_splits(values: Sequence[float]) -> Mean:
    """The mean of one value a split; splits are resampled."""
    if len(values) < 2:
        return Mean(float(values[0]), None, None)
    known = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(0).integers(len(known), size=(_RESAMPLES, len(known)))
    return _mean(float(known.mean()), known[drawn].mean(axis=1))


def mean_over_splits_and_seeds(runs: Sequence[Sequence[float]]) -> Mean:
    """The mean of paired differences, one list a split: splits are resampled, then seeds within each of them."""
    known = np.asarray(runs, dtype=np.float64)  # (splits, seeds)
    rng = np.random.default_rng(0)
    splits = rng.integers(known.shape[0], size=(_RESAMPLES, known.shape[0], 1))
    seeds = rng.integers(known.shape[1], size=(_RESAMPLES, *known.shape))
    return _mean(float(known.mean()), known[splits, seeds].mean(axis=(1, 2)))


def students_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean of one value a split by Student's t, which a bootstrap of few splits falls short of."""
    if len(values) < 2:
        return None
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return float(np.mean(values)) - half, float(np.mean(values)) + half


def _mean(value: float, resampled: "np.ndarray[Any, np.dtype[np.float64]]") -> Mean:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Mean(value, float(low), float(high))
