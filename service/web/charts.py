"""Curves as the page draws them while they grow: plain geometry, for a template to write as SVG.

The reports' plots are matplotlib's; one of them takes 0.16 s under a lock of the process, too long for a page that
draws each class's again every second or two. These take less than a millisecond, and need no style attributes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.contracts.adaptations import CurvePoint
from service.contracts.quality import Score
from service.contracts.search import SearchTrial
from service.reports.sweep import swept
from service.reports.wording import figure, percent

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 44
_MAX_POINTS = 200
_NUM_TICKS = 5


@dataclass(frozen=True)
class Tick:
    """A line of the grid at ``at`` pixels, and what it stands for."""

    at: float
    label: str


@dataclass(frozen=True)
class Dot:
    """One measured point; ``spread`` is half the length of its whisker. ``name``: what scripts find it by.

    ``is_spliced``: its images began as two real ones, which is drawn as the reports draw it, a diamond.
    """

    x: float
    y: float
    kind: str
    label: str
    name: str = ""
    spread: float = 0.0
    is_spliced: bool = False


@dataclass(frozen=True)
class Band:
    """A horizontal band, such as a floor with its spread."""

    top: float
    height: float
    middle: float
    kind: str
    label: str


@dataclass(frozen=True)
class Chart:
    """One chart. ``text`` says in words what it shows."""

    caption: str
    text: str
    across: str
    up: str
    across_ticks: Sequence[Tick]
    up_ticks: Sequence[Tick]
    lines: Sequence[tuple[str, str]] = field(default_factory=list)
    dots: Sequence[Dot] = field(default_factory=list)
    bands: Sequence[Band] = field(default_factory=list)
    legend: Sequence[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)

    def ticks(self) -> list[Tick]:
        """Round values between the ends."""
        step = _round_step((self.high - self.low) / _NUM_TICKS)
        first, last = math.ceil(self.low / step), math.floor(self.high / step + 1e-9)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return [Tick(self(place * step), f"{place * step:.{decimals}f}") for place in range(first, last + 1)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough * 0.999), 10 * power)


def _across(low: float, high: float) -> _Axis:
    return _Axis(low, high if high > low else low + 1, LEFT, WIDTH - RIGHT)


def _up(values: Sequence[float]) -> _Axis:
    """From zero where the values come near it."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    return _Axis(0.0 if 0 <= low < 0.4 * high else low - room, high + room, HEIGHT - BOTTOM, TOP)


def loss_charts(points: Sequence[CurvePoint]) -> list[Chart]:
    """One chart a stage, in the order of training."""
    stages = list(dict.fromkeys(point.stage for point in points))
    return [_loss_chart(name, [point for point in points if point.stage == name]) for name in stages]


def _loss_chart(name: str, points: Sequence[CurvePoint]) -> Chart:
    points = [point for point in points if math.isfinite(point.loss)] or [CurvePoint(stage=name, step=0, loss=0.0)]
    across, up = _across(0, points[-1].step), _up([point.loss for point in points])
    titles = {"textual_inversion": "Textual inversion", "lora": "LoRA"}
    title = titles.get(name, name.replace("_", " "))
    smooth = _running_mean([point.loss for point in points], max(len(points) // 10, 1))
    lines = [("each", _path([(across(point.step), up(point.loss)) for point in points]))]
    if len(points) > 10:
        averaged = [(across(point.step), up(loss)) for point, loss in zip(points, smooth, strict=True)]
        lines.append(("mean", _path(averaged)))
    return Chart(
        caption=f"{title}: loss by step",
        text=f"Loss of {title} from {figure(points[0].loss)} at step {points[0].step} "
        f"to {figure(smooth[-1])} at step {points[-1].step}, as a running mean.",
        across="step",
        up="loss",
        across_ticks=across.ticks(),
        up_ticks=up.ticks(),
        lines=lines,
    )


def _path(places: Sequence[tuple[float, float]]) -> str:
    every = max(1, math.ceil(len(places) / _MAX_POINTS))
    thinned = [*places[:-1:every], places[-1]]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in thinned)


def _running_mean(values: Sequence[float], width: int) -> list[float]:
    windows = (values[max(index + 1 - width, 0) : index + 1] for index in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def quality_chart(
    trials: Sequence[SearchTrial], best: int | None, real_floor: Score | None, copy_floor: Score | None
) -> Chart | None:
    """KID of each trial by strength, with the floors that give it meaning; None before the first score."""
    scored = [trial for trial in trials if trial.kid is not None and math.isfinite(trial.kid)]
    if not scored:
        return None
    floors = [(floor, kind, told) for floor, kind, told in _floors(real_floor, copy_floor) if floor is not None]
    heights = [value for trial in scored for value in _ends(trial.kid, trial.kid_noise or trial.kid_std)]
    heights += [value for floor, _, _ in floors for value in _ends(floor.kid, floor.kid_std)]
    across, up = _across(0.0, 1.0), _up(heights)
    dots = [_dot(trial, best, across, up) for trial in scored]
    sweep = [(across(trial.strength), up(trial.kid)) for trial in swept(scored) if trial.kid is not None]
    return Chart(
        caption="KID by strength, with its spread: lower is closer to the real images.",
        text=_told(scored, best),
        across="strength",
        up="KID",
        across_ticks=across.ticks(),
        up_ticks=up.ticks(),
        lines=[("sweep", _path(sweep))] if len(sweep) > 1 else [],
        dots=sorted(dots, key=lambda dot: dot.kind == "best"),
        bands=[_band(floor, kind, told, up) for floor, kind, told in floors],
        legend=_legend(scored) + [(kind, told) for _, kind, told in floors],
    )


def _legend(scored: Sequence[SearchTrial]) -> list[tuple[str, str]]:
    kinds = [("good", "usable"), ("copying", "too many copies")]
    kinds += [("best", "ring: chosen"), ("shown", "dashed: pictures shown")]
    if any(trial.splice_sources for trial in scored):
        kinds.append(("spliced", "diamond: spliced"))
    return [*kinds, ("sweep", "line: strength alone differs")] if len(swept(scored)) > 1 else kinds


def _floors(real: Score | None, copy: Score | None) -> list[tuple[Score | None, str, str]]:
    return [(real, "real", "real against real"), (copy, "copied", "plain copies")]


def _ends(value: float | None, spread: float | None) -> tuple[float, float]:
    assert value is not None
    return value - (spread or 0.0), value + (spread or 0.0)


def _dot(trial: SearchTrial, best: int | None, across: _Axis, up: _Axis) -> Dot:
    low, high = _ends(trial.kid, trial.kid_noise or trial.kid_std)
    label = (
        f"Trial {trial.number}: strength {trial.strength:.2f}{', spliced' if trial.splice_sources else ''}, "
        f"KID {figure(trial.kid)}, "
        f"copies {percent(trial.share_copies)}"
    )
    kind = "best" if trial.number == best else "good" if trial.feasible else "copying"
    middle = (low + high) / 2
    name, spread = f"trial-{trial.number}", (up(low) - up(high)) / 2
    return Dot(across(trial.strength), up(middle), kind, label, name, spread, trial.splice_sources)


def _band(floor: Score, kind: str, told: str, up: _Axis) -> Band:
    low, high = _ends(floor.kid, floor.kid_std)
    return Band(up(high), max(up(low) - up(high), 1.0), up(floor.kid), kind, f"{told}: {figure(floor.kid)}")


def _told(scored: Sequence[SearchTrial], best: int | None) -> str:
    chosen = next((trial for trial in scored if trial.number == best), None)
    led = "" if chosen is None else f"; chosen is trial {best} at strength {chosen.strength:.2f}, {figure(chosen.kid)}"
    return f"KID of {len(scored)} trials by strength{led}."
