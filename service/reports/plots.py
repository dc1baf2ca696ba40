"""The plots of the reports. Each takes contracts and returns SVG for a page; none shows a word that a user wrote."""

from collections.abc import Mapping, Sequence
from itertools import groupby, product
from operator import attrgetter
from typing import TYPE_CHECKING

from service.contracts.adaptations import CurvePoint
from service.contracts.quality import QualityReport, Score
from service.contracts.recognitions import Arm, ArmResult, Lift, RatioTried
from service.contracts.search import SearchTrial
from service.reports.svg import BAD, INK, MUTED, PAPER, REAL, RULE, SYNTHETIC, Svg, drawn
from service.reports.sweep import swept

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ARM_NAMES: Mapping[Arm, str] = {
    Arm.REAL_ONLY: "real only",
    Arm.REAL_AUGMENTED: "real, augmented",
    Arm.REAL_PLUS_SYNTHETIC: "real + synthetic",
}
_ARM_COLOURS = {Arm.REAL_ONLY: MUTED, Arm.REAL_AUGMENTED: REAL, Arm.REAL_PLUS_SYNTHETIC: SYNTHETIC}
_SPLICED, _SWEEP = ", spliced", "strength alone"
_LEGEND = (
    "few copies", "too many copies", f"few copies{_SPLICED}", f"too many copies{_SPLICED}", _SWEEP, "chosen",
    "real against real", "copies of real",
)  # fmt: skip
_SMOOTHED_FROM = 20


def loss_curves(points: Sequence[CurvePoint]) -> dict[str, Svg]:
    """One plot a stage, in the order of training."""
    return {stage: _loss_curve(list(of_it)) for stage, of_it in groupby(points, key=attrgetter("stage"))}


def _loss_curve(points: Sequence[CurvePoint]) -> Svg:
    steps, losses = [point.step for point in points], [point.loss for point in points]
    smooth = _running_mean(losses, max(len(losses) // 10, 1))

    def draw(axes: "Axes") -> None:
        if len(losses) >= _SMOOTHED_FROM:
            axes.plot(steps, losses, color=RULE, linewidth=1, label="each point")
            axes.plot(steps, smooth, color=SYNTHETIC, linewidth=1.8, label="running mean")
            axes.legend(loc="upper right")
        else:
            axes.plot(steps, losses, color=SYNTHETIC, linewidth=1.8, marker="o", markersize=3)
        _labelled(axes, "step", "loss")

    return drawn(draw, height_in=2.7)


def _running_mean(values: Sequence[float], width: int) -> list[float]:
    """Of each value and up to ``width`` - 1 before it."""
    windows = (values[max(index + 1 - width, 0) : index + 1] for index in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def kid_by_strength(
    trials: Sequence[SearchTrial], best: int | None, real_floor: Score | None, copy_floor: Score | None
) -> Svg:
    """KID of each trial with its spread; filled where it is feasible, ringed where it is chosen.

    A line joins the trials that differ in strength alone.
    """
    values = {trial.number: (trial.kid, trial.kid_std or 0.0) for trial in trials if trial.kid is not None}
    return _by_strength(trials, values, best, "KID (lower is closer)", _floors(real_floor, copy_floor, "kid"))


def fid_by_strength(trials: Sequence[SearchTrial], best: int | None) -> Svg:
    """FID of each trial, without floors: FID of other counts of images cannot be compared with it."""
    values = {trial.number: (trial.fid, 0.0) for trial in trials if trial.fid is not None}
    return _by_strength(trials, values, best, "FID (lower is closer)", [])


def _floors(real: Score | None, copy: Score | None, name: str) -> list[tuple[float, str, str]]:
    named = [(real, REAL, "real against real"), (copy, BAD, "copies of real")]
    return [(float(getattr(score, name)), colour, label) for score, colour, label in named if score is not None]


def _by_strength(
    trials: Sequence[SearchTrial],
    values: Mapping[int, tuple[float, float]],
    best: int | None,
    label: str,
    floors: Sequence[tuple[float, str, str]],
) -> Svg:
    scored = [trial for trial in trials if trial.number in values]
    sweep = swept(scored)

    def draw(axes: "Axes") -> None:
        if len(sweep) > 1:
            places = [trial.strength for trial in sweep], [values[trial.number][0] for trial in sweep]
            axes.plot(*places, color=SYNTHETIC, linewidth=1, alpha=0.6, label=_SWEEP)
        for feasible, spliced in product((True, False), (False, True)):
            group = [one for one in scored if (one.feasible, one.splice_sources) == (feasible, spliced)]
            if not group:
                continue
            name = ("few copies" if feasible else "too many copies") + (_SPLICED if spliced else "")
            axes.errorbar(
                [trial.strength for trial in group],
                [values[trial.number][0] for trial in group],
                yerr=[values[trial.number][1] for trial in group] if any(std for _, std in values.values()) else None,
                fmt="D" if spliced else "o", markersize=6, color=SYNTHETIC, label=name,
                markerfacecolor=SYNTHETIC if feasible else PAPER, markeredgewidth=1.2, elinewidth=0.8,
            )  # fmt: skip
        for trial in (one for one in scored if one.number == best):
            axes.plot(
                [trial.strength], [values[trial.number][0]], "o", markersize=13, markerfacecolor="none",
                markeredgecolor=INK, markeredgewidth=1.4, label="chosen", linestyle="none",
            )  # fmt: skip
        for (value, colour, name), dashes in zip(floors, ("--", ":"), strict=False):
            axes.axhline(value, color=colour, linewidth=1.2, linestyle=dashes, label=name)
        axes.set_xlim(0, 1.04)
        _labelled(axes, "strength (0 copies its source, 1 forgets it)", label)
        _legend_above(axes)

    return drawn(draw, height_in=3.5)


def score_against_floors(quality: QualityReport) -> Svg:
    """KID of the synthetic images at the floor's counts, between the floors that give it meaning."""
    rows = [("synthetic to real", quality.matched, SYNTHETIC), ("real to real", quality.real_floor, REAL)]
    if quality.copy_floor is not None:
        rows.append(("copies to real", quality.copy_floor, BAD))

    def draw(axes: "Axes") -> None:
        for place, (_, score, colour) in enumerate(rows):
            whiskers = _whiskers(score.kid, *_reach(score))
            axes.errorbar([score.kid], [place], xerr=whiskers, fmt="o", color=colour, markersize=7, elinewidth=1.4)
        axes.axvspan(*_reach(quality.real_floor), color=REAL, alpha=0.12, linewidth=0)
        _rows(axes, [name for name, _, _ in rows])
        axes.set_xlabel("KID (lower is closer)")

    return drawn(draw, height_in=0.9 + 0.42 * len(rows))


def _reach(score: Score) -> tuple[float, float]:
    """The ends of KID's interval; of its spread in a report that has none."""
    if score.kid_interval is None:
        return score.kid - score.kid_std, score.kid + score.kid_std
    return score.kid_interval.low, score.kid_interval.high


def accuracy_of_arms(arms: Sequence[ArmResult]) -> Svg:
    """Each classifier's accuracy as a small point, the arm's mean with its interval above it."""

    def draw(axes: "Axes") -> None:
        for place, arm in enumerate(arms):
            colour, value = _ARM_COLOURS[arm.arm], 100 * arm.accuracy.value
            runs = [100 * run for run in arm.runs_accuracy]
            axes.plot(
                runs,
                [place + 0.22] * len(runs),
                "o",
                color=colour,
                alpha=0.35,
                markersize=4,
                linestyle="none",
                clip_on=False,
            )
            low, high = 100 * arm.accuracy.interval.low, 100 * arm.accuracy.interval.high
            axes.errorbar(
                [value], [place], xerr=_whiskers(value, low, high), fmt="o", color=colour, markersize=8, clip_on=False,
            )  # fmt: skip
        _rows(axes, [ARM_NAMES[arm.arm] for arm in arms])
        axes.set_xlim(_within(axes.get_xlim(), 0))
        axes.set_xlabel("accuracy on the test images, %")

    return drawn(draw, height_in=0.9 + 0.5 * len(arms))


def lifts(given: Sequence[Lift]) -> Svg:
    """Each lift as a point with its 95 % interval, against zero."""

    def draw(axes: "Axes") -> None:
        axes.axvline(0, color=INK, linewidth=1)
        for place, lift in enumerate(given):
            low, high = 100 * lift.interval.low, 100 * lift.interval.high
            colour = REAL if low > 0 else BAD if high < 0 else MUTED
            value = 100 * lift.value
            axes.errorbar(
                [value], [place], xerr=_whiskers(value, low, high), fmt="o", color=colour, markersize=8, clip_on=False,
            )  # fmt: skip
        _rows(axes, [f"{ARM_NAMES[lift.arm]}\nover {ARM_NAMES[lift.over]}\n({_metric(lift.metric)})" for lift in given])
        axes.set_xlim(_within(axes.get_xlim(), -100))
        axes.set_xlabel("lift, percentage points")

    return drawn(draw, height_in=0.8 + 0.62 * len(given))


def _metric(name: str) -> str:
    return {"macro_f1": "macro F1"}.get(name, name)


def ratio_sweep(tried: Sequence[RatioTried], chosen: float) -> Svg:
    """Validation accuracy by ratio, the chosen one ringed."""
    ordered = sorted(tried, key=attrgetter("ratio"))
    shares = {one.ratio: 100 * one.validation_accuracy for one in ordered}

    def draw(axes: "Axes") -> None:
        axes.plot(
            list(shares), list(shares.values()), "o-", color=SYNTHETIC, linewidth=1.4, markersize=6, clip_on=False
        )
        if chosen in shares:
            axes.plot(
                [chosen], [shares[chosen]], "o", markersize=13, markerfacecolor="none", markeredgecolor=INK,
                label="chosen", linestyle="none", clip_on=False,
            )  # fmt: skip
            _legend_above(axes)
        axes.margins(x=0.08, y=0.15)
        axes.set_ylim(_within(axes.get_ylim(), 0))
        axes.set_xticks(list(shares), [f"{ratio:g}" for ratio in shares])
        _labelled(axes, "synthetic images for each real one", "accuracy, %")

    return drawn(draw, height_in=2.8)


def _whiskers(value: float, low: float, high: float) -> list[list[float]]:
    """As matplotlib wants them; an interval need not hold its estimate, and a whisker has no negative length."""
    return [[max(value - low, 0.0)], [max(high - value, 0.0)]]


def _within(limits: tuple[float, float], least: float) -> tuple[float, float]:
    """Limits of an axis of percent: beyond 100 there is nothing. Marks at its end are drawn whole."""
    return max(limits[0], least), min(limits[1], 100)


def _rows(axes: "Axes", names: Sequence[str]) -> None:
    """Named rows from top to bottom."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=5)


def _labelled(axes: "Axes", below: str, beside: str) -> None:
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    axes.grid(axis="y")


def _legend_above(axes: "Axes") -> None:
    """In the order given by ``_LEGEND``; matplotlib would put lines before points. Long names need two columns."""
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = [name for name in _LEGEND if name in handles]
    axes.legend(
        [handles[name] for name in names], names, loc="lower left", bbox_to_anchor=(-0.02, 1.0),
        ncols=2 if any(_SPLICED in name for name in names) else 3,
        columnspacing=1.2, handletextpad=0.4,
    )  # fmt: skip
