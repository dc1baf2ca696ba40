"""The page of a generation: what was asked for, whether it is good, and how to make it again."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.contracts.generations import (
    DecisionCounts,
    GateSettings,
    GenerationParams,
    GenerationResult,
    GenerationSettings,
)
from service.contracts.quality import Estimate, QualityReport, Score
from service.contracts.requests import GenerationRequest
from service.reports import plots
from service.reports.closeness import Closeness, closeness
from service.reports.judged import Candidates, Pair, candidates, closest_pairs, copy_statement, decided_sentence
from service.reports.pages import Fact, Progressing, dataset_facts, progressing
from service.reports.records import GenerationClass, GenerationRecord
from service.reports.settings_used import Remake, SettingUsed, remake_request, settings_used
from service.reports.svg import Svg
from service.reports.thumbnails import SHEET_PX, Pictures
from service.reports.wording import MISSING, duration, figure, interval, moment, stage


@dataclass(frozen=True)
class ScoreLine:
    """One comparison of two image sets."""

    name: str
    meaning: str
    fid: str
    fid_interval: str
    kid: str
    kid_spread: str
    kid_interval: str
    counts: str
    is_floor: bool


@dataclass(frozen=True)
class Scores:
    """All comparisons, between the floors that give them meaning."""

    lines: Sequence[ScoreLine]
    plot: Svg
    plot_text: str
    plot_caption: str
    density: str
    coverage: str
    extractor: Sequence[Fact]


@dataclass(frozen=True)
class Outcome:
    """What a finished class has to show."""

    closeness: Closeness
    copies: str
    num_images: int
    num_requested: int
    sheet: str | None
    scores: Scores | None
    candidates: Candidates | None
    pairs: Sequence[Pair]
    stages: str


@dataclass(frozen=True)
class ClassSection:
    """One class."""

    name: str
    anchor: str
    progress: Progressing
    outcome: Outcome | None
    warnings: Sequence[str]
    decided: str
    settings: Sequence[SettingUsed]
    steps: str
    lineage: Sequence[Fact]
    remake: Remake


@dataclass(frozen=True)
class GenerationPage:
    """The whole page."""

    id: str
    state: str
    facts: Sequence[Fact]
    classes: Sequence[ClassSection]


def generation_page(record: GenerationRecord, pictures: Pictures) -> GenerationPage:
    """The page of this record."""
    facts = [
        Fact("generation", record.id, code=True),
        Fact("made", moment(record.created_at)),
        Fact("seed", str(record.seed), code=True),
    ]
    sections = [_section(one, number, record, pictures) for number, one in enumerate(record.classes)]
    return GenerationPage(record.id, record.state, facts, sections)


def _section(one: GenerationClass, number: int, record: GenerationRecord, pictures: Pictures) -> ClassSection:
    result = one.result
    warnings = [*result.warnings, *(result.quality.notes if result.quality else [])] if result is not None else []
    return ClassSection(
        name=one.params.class_name,
        anchor=f"class-{number}",
        progress=progressing(one.job),
        outcome=_outcome(one, result, record, pictures) if result is not None else None,
        warnings=list(dict.fromkeys(warnings)),
        decided=decided_sentence(record.decisions.get(one.params.class_name, DecisionCounts())),
        settings=settings_used(one.params),
        steps=_steps(result),
        lineage=_lineage(one, record),
        remake=_remake(one, record.seed),
    )


def _outcome(one: GenerationClass, result: GenerationResult, record: GenerationRecord, pictures: Pictures) -> Outcome:
    seconds = [f"{stage(name)} {duration(taken)}" for name, taken in result.stage_seconds.items()]
    return Outcome(
        closeness=closeness(result.quality),
        copies=copy_statement(result),
        num_images=result.num_images,
        num_requested=result.num_requested if result.num_requested is not None else one.params.num_images,
        sheet=pictures(result.contact_sheet, SHEET_PX),
        scores=_scores(result.quality) if result.quality is not None else None,
        candidates=candidates(result.judging) if result.judging is not None else None,
        pairs=closest_pairs(result, record.real_images, pictures),
        stages=", ".join(seconds),
    )


def _scores(quality: QualityReport) -> Scores:
    reference = f"{quality.reference_split} images"
    lines = [
        _line("Synthetic to real", f"all of them, against the {reference}", _headline(quality)),
        _line("Synthetic to real, equal counts", "compare this with the next line", quality.matched),
        _line("Real to real, equal counts", "floor: the best that is possible", quality.real_floor, is_floor=True),
    ]
    if quality.copy_floor is not None:
        meaning = "what plain copying of the sources would score"
        lines.append(_line("Copies to real", meaning, quality.copy_floor, is_floor=True))
    extractor = quality.extractor
    return Scores(
        lines=lines,
        plot=plots.score_against_floors(quality),
        plot_text=_plot_text(quality),
        plot_caption=_plot_caption(quality),
        density=_estimate(quality.density),
        coverage=_coverage(quality),
        extractor=[
            Fact("extractor", extractor.name),
            Fact("digest", extractor.digest, code=True),
            Fact("resizing", extractor.resize_rule),
        ],
    )


def _coverage(quality: QualityReport) -> str:
    expected = "" if quality.expected_coverage is None else f"; {quality.expected_coverage:.2f} expected of real images"
    return _estimate(quality.coverage) + expected


def _headline(quality: QualityReport) -> Score:
    """With its intervals, which earlier versions kept beside the score alone."""
    return quality.score.model_copy(update={"fid_interval": quality.fid_interval, "kid_interval": quality.kid_interval})


def _line(name: str, meaning: str, score: Score, *, is_floor: bool = False) -> ScoreLine:
    return ScoreLine(
        name=name,
        meaning=meaning,
        fid=figure(score.fid),
        fid_interval=interval(score.fid_interval),
        kid=figure(score.kid),
        kid_spread=figure(score.kid_std, 2),
        kid_interval=interval(score.kid_interval),
        counts=f"{score.num_other} to {score.num_real} images",
        is_floor=is_floor,
    )


def _estimate(given: Estimate | None) -> str:
    if given is None:
        return MISSING
    return f"{figure(given.value)} ({interval(given.interval)})"


def _plot_text(quality: QualityReport) -> str:
    text = (
        f"KID at equal counts: synthetic to real {figure(quality.matched.kid)}, "
        f"real to real {figure(quality.real_floor.kid)}"
    )
    return text if quality.copy_floor is None else f"{text}, copies to real {figure(quality.copy_floor.kid)}"


def _plot_caption(quality: QualityReport) -> str:
    whiskers = "95 % intervals" if quality.matched.kid_interval is not None else "their spread over random splits"
    return f"KID at equal counts, with {whiskers}. The band is the floor's; over all splits it is 0."


def _steps(result: GenerationResult | None) -> str:
    if result is None:
        return ""
    text = f"{result.denoising_steps} denoising steps an image"
    if result.sigma_max is None or result.sigma_min is None:
        return f"{text}."
    return f"{text}, from sigma_max {result.sigma_max:.6g} to sigma_min {result.sigma_min:.6g} (noise to signal)."


def _lineage(one: GenerationClass, record: GenerationRecord) -> list[Fact]:
    facts = [Fact("adapter", one.params.adapter_id, code=True)]
    adapter = one.adapter
    if adapter is None:
        facts.append(Fact("adapter's record", "deleted since: base model and dataset can no longer be told"))
    else:
        entry = record.base_models.get(adapter.base_model)
        revision = f" ({entry.revision})" if entry is not None and entry.revision is not None else ""
        facts += [
            Fact("checkpoint", adapter.checkpoint or MISSING),
            Fact("adapter's files", adapter.archive_sha256, code=True),
            Fact("adaptation", adapter.adaptation_id, code=True),
            Fact("base model", f"{adapter.base_model}{revision}"),
            *dataset_facts(adapter.dataset),
        ]
    return [*facts, Fact("seed of the class", str(one.params.seed), code=True)]


def _remake(one: GenerationClass, seed: int) -> Remake:
    return remake_request("/v1/generations", remake_body(one.params, seed).model_dump(mode="json", exclude_unset=True))


def remake_body(params: GenerationParams, seed: int) -> GenerationRequest:
    """The request that makes a class's images again; ``seed`` is the generation's.

    Everything is named, so that neither the search nor a default decides anything the second time.
    """
    return GenerationRequest(
        adapter_ids=[params.adapter_id],
        num_images=params.num_images,
        settings=GenerationSettings.model_validate(params.settings.model_dump()),
        gates=GateSettings.model_validate(params.gates.model_dump()),
        seed=seed,
    )
