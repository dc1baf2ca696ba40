"""The page of an adaptation: how the training went, what the search tried, and what it found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.contracts.adaptations import AdaptationResult
from service.contracts.search import FoundSettings, SearchReport, SearchTrial
from service.reports import plots
from service.reports.pages import Fact, Progressing, dataset_facts, progressing
from service.reports.records import AdaptationClass, AdaptationRecord
from service.reports.svg import Svg
from service.reports.wording import MISSING, counted, duration, figure, moment, percent, setting, stage

_STOPPED = {
    "no_gain_expected": "It stopped because no further gain beyond chance was expected.",
    "budget": "It stopped because the number of trials allowed was spent.",
    "space_exhausted": "It stopped because every setting in its space had been tried.",
}


@dataclass(frozen=True)
class Curve:
    """A plot with its caption and what it says to those who cannot see it."""

    caption: str
    text: str
    plot: Svg


@dataclass(frozen=True)
class TrialLine:
    """One trial of the search."""

    number: int
    checkpoint: str
    strength: str
    guidance_scale: str
    lora_scale: str
    steps: str
    sources: str
    kid: str
    kid_spread: str
    fid: str
    copies: str
    feasible: bool
    is_best: bool
    seconds: str
    remark: str


@dataclass(frozen=True)
class Searched:
    """What the search has tried so far. ``found``: the settings it settled on."""

    sentence: str
    caution: str | None
    curves: Sequence[Curve]
    lines: Sequence[TrialLine]
    found: Sequence[Fact]
    extractor: Sequence[Fact]


@dataclass(frozen=True)
class ClassSection:
    """One class."""

    name: str
    anchor: str
    progress: Progressing
    summary: str
    losses: Sequence[Curve]
    searched: Searched | None
    warnings: Sequence[str]
    facts: Sequence[Fact]


@dataclass(frozen=True)
class AdaptationPage:
    """The whole page."""

    id: str
    state: str
    facts: Sequence[Fact]
    classes: Sequence[ClassSection]


def adaptation_page(record: AdaptationRecord) -> AdaptationPage:
    """The page of this record."""
    settings = record.settings
    revision = f" ({record.revision})" if record.revision is not None else ""
    facts = [
        Fact("adaptation", record.id, code=True),
        Fact("made", moment(record.created_at)),
        Fact("base model", f"{record.base_model}{revision}"),
        *dataset_facts(record.dataset),
        Fact("textual inversion", counted(settings.textual_inversion.steps, "step")),
        Fact(
            "LoRA",
            f"{counted(settings.lora.steps, 'step')}, rank {settings.lora.rank}, alpha {settings.lora.lora_alpha:g}",
        ),
        Fact("fit", settings.fit.value.replace("_", " ")),
        Fact("seed", str(settings.seed), code=True),
    ]
    sections = [_section(one, number) for number, one in enumerate(record.classes)]
    return AdaptationPage(record.id, record.state, facts, sections)


def _section(one: AdaptationClass, number: int) -> ClassSection:
    result = one.result
    return ClassSection(
        name=one.params.class_name,
        anchor=f"class-{number}",
        progress=progressing(one.job),
        summary=_summary(result) if result is not None else "",
        losses=_losses(result) if result is not None else [],
        searched=_searched(one),
        warnings=list(result.warnings) if result is not None else [],
        facts=_facts(result) if result is not None else [],
    )


def _summary(result: AdaptationResult) -> str:
    text = f"Trained on {counted(result.num_train_images, 'image')}"
    total = sum(result.stage_seconds.values())
    stages = ", ".join(f"{stage(name)} {duration(taken)}" for name, taken in result.stage_seconds.items())
    return f"{text} in {duration(total)} ({stages})."


def _facts(result: AdaptationResult) -> list[Fact]:
    return [Fact("adapter", result.adapter_id, code=True), Fact("checkpoint used", result.checkpoint or MISSING)]


def _losses(result: AdaptationResult) -> list[Curve]:
    curves = []
    for name, plot in plots.loss_curves(result.loss_curve).items():
        of_it = [point for point in result.loss_curve if point.stage == name]
        text = (
            f"Loss of {stage(name)}: {figure(of_it[0].loss)} at step {of_it[0].step}, "
            f"{figure(of_it[-1].loss)} at step {of_it[-1].step}"
        )
        curves.append(Curve(f"Loss of {stage(name)} by step.", text, plot))
    return curves


def _searched(one: AdaptationClass) -> Searched | None:
    trials, report = one.trials, one.result.search if one.result is not None else None
    if not trials:
        return None
    best = report.best if report is not None else best_so_far(trials)
    return Searched(
        sentence=search_sentence(trials, report, best),
        caution=search_caution(report),
        curves=_curves(trials, report, best),
        lines=[trial_line(trial, best) for trial in trials],
        found=_found(one.result.found) if one.result is not None and one.result.found is not None else [],
        extractor=_extractor(report),
    )


def best_so_far(trials: Sequence[SearchTrial]) -> int | None:
    """The number of the trial that the search would choose now, luck allowed for; None while none can be used.

    By the rule of the search (`models.search.trials.best_trial`): another one leads only where another would be chosen.
    """
    lowest = _lowest(trials)
    if lowest is None:
        return None
    highest = _cautious_kid(lowest) + _noise(lowest)
    spliced = _lowest([trial for trial in trials if trial.splice_sources and _cautious_kid(trial) <= highest])
    return (spliced or lowest).number


def _lowest(trials: Sequence[SearchTrial]) -> SearchTrial | None:
    usable = [trial for trial in trials if trial.feasible and trial.kid is not None]
    return min(usable, key=lambda trial: (_cautious_kid(trial), trial.number), default=None)


def _cautious_kid(trial: SearchTrial) -> float:
    return (trial.kid if trial.kid is not None else math.inf) + _noise(trial)


def _noise(trial: SearchTrial) -> float:
    """How far luck may have moved the trial's KID, against other trials of the search."""
    known = (noise for noise in (trial.kid_noise, trial.kid_std) if noise is not None and math.isfinite(noise))
    return next(known, math.inf)


def search_sentence(trials: Sequence[SearchTrial], report: SearchReport | None, best: int | None) -> str:
    """What has been tried and which trial is best; ``report`` once the search has ended."""
    tried = counted(len(trials), "trial")
    feasible = sum(trial.feasible for trial in trials)
    if report is None:
        led = f"trial {best} leads" if best is not None else "none of them can be used yet"
        return f"{tried} so far, {feasible} with few enough copies; {led}. The search has not finished."
    why = _STOPPED.get(report.stopped_because, f"It stopped: {report.stopped_because.replace('_', ' ')}.")
    if report.expected_gain is not None:
        why += f" One more trial was expected to lower KID by {report.expected_gain:.2g}."
    if best is None:
        return f"{tried}, none of which can be used: see the remarks. {why}"
    lowest = _lowest(trials)
    is_spliced = any(trial.splice_sources for trial in trials if trial.number == best)
    chosen_for = ""
    if is_spliced and lowest is not None and lowest.number != best:
        chosen_for = (
            f", whose sources are spliced: its KID is higher than trial {lowest.number}'s by no more than chance"
        )
    return (
        f"{tried} of {counted(report.num_images, 'image')} each, {feasible} of them with at most "
        f"{percent(report.max_share_copies)} copies. {why} Trial {best} was chosen{chosen_for}."
    )


def search_caution(report: SearchReport | None) -> str | None:
    """Why the scores flatter, where they do."""
    if report is None or not report.seen_by_adaptation:
        return None
    return (
        f"The trials were scored against {report.reference_split} images, which the adapter was trained on: "
        "their scores flatter, though they may still be compared with each other."
    )


def _curves(trials: Sequence[SearchTrial], report: SearchReport | None, best: int | None) -> list[Curve]:
    real, copy = (report.real_floor, report.copy_floor) if report is not None else (None, None)
    chosen = next((trial for trial in trials if trial.number == best), None)
    told = "" if chosen is None else f"; chosen is trial {best} at strength {chosen.strength:g}"
    note = (
        "Filled: few enough copies. Hollow: too many. Diamonds: begun as two sources spliced. Ringed: the one chosen. "
        "The line joins trials that differ in strength alone."
    )
    curves = []
    if any(trial.kid is not None for trial in trials):
        plot = plots.kid_by_strength(trials, best, real, copy)
        text = f"KID of {counted(len(trials), 'trial')} by strength{told}"
        curves.append(Curve(f"KID by strength, with its spread. {note}", text, plot))
    if any(trial.fid is not None for trial in trials):
        plot = plots.fid_by_strength(trials, best)
        text = f"FID of {counted(len(trials), 'trial')} by strength{told}"
        curves.append(
            Curve(
                f"FID by strength. {note} FID is of as many images in every trial, which are few: it only ranks.",
                text,
                plot,
            )
        )
    return curves


def trial_line(trial: SearchTrial, best: int | None) -> TrialLine:
    """A trial as a line of the table."""
    return TrialLine(
        number=trial.number,
        checkpoint=trial.checkpoint,
        strength=f"{trial.strength:.3g}",
        guidance_scale=f"{trial.guidance_scale:.3g}",
        lora_scale=f"{trial.lora_scale:.3g}",
        steps=str(trial.num_inference_steps),
        sources="spliced" if trial.splice_sources else "one each",
        kid=figure(trial.kid),
        kid_spread=figure(trial.kid_std, 2) if trial.kid_std is not None else "",
        fid=figure(trial.fid),
        copies=percent(trial.share_copies),
        feasible=trial.feasible,
        is_best=trial.number == best,
        seconds=duration(trial.seconds),
        remark=trial.remark or "",
    )


def _found(found: FoundSettings) -> list[Fact]:
    return [Fact(name, setting(value), code=True) for name, value in found.model_dump().items()]


def _extractor(report: SearchReport | None) -> list[Fact]:
    if report is None:
        return []
    return [
        Fact("scored against", f"{report.reference_split} images"),
        Fact("extractor", report.extractor.name),
        Fact("digest", report.extractor.digest, code=True),
        Fact("resizing", report.extractor.resize_rule),
    ]
