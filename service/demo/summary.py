"""What the demo found: one table with a column a class, and what each row of it means."""

from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.contracts.adaptations import AdaptationResult
from service.contracts.datasets import DatasetWarning, RefusedImage
from service.contracts.generations import GenerationResult
from service.contracts.quality import QualityReport, Score

#: With the table's lines. A class's column is as wide as its name, or as the widest figures.
_LABEL_WIDTH, _FIGURES_WIDTH, _LINES_WIDTH = 24, 14, 3
_TEXT_WIDTH = 110
_SHOWN_REFUSALS = 20
_NOTHING = "-"

MEANINGS = (
    ("FID", "distance between synthetic and real images in the extractor's features; lower is closer."),
    ("KID", "the same question by another kernel, unbiased for few images; ± is its spread; about 0 is best."),
    ("at equal counts", "as many synthetic images as the real floor's side has, so that the two may be compared."),
    ("real floor", "one half of the real images against the other, n a side: as close as real images get."),
    ("copy floor", "the real images after the autoencoder's round trip: about what plain copying would score."),
    (
        "settings found",
        "by the search: of those tried on a small sample the lowest KID without copying, or spliced as low.",
    ),
    ("delivered", "images that passed every gate, of those made; the others were replaced."),
    ("copies found", "delivered images nearer to a real one than real images are to each other."),
    ("measured against", "'seen' means the adapter was trained on these very images, and such scores flatter."),
)


class ClassOutcome(BaseModel):
    """One class from its images to its report; ``failure`` says why a part is missing."""

    class_name: str
    adaptation: AdaptationResult | None = None
    generation: GenerationResult | None = None
    failure: str | None = None


class Report(BaseModel):
    """``report.json``."""

    software: str
    base_model: str
    dataset_id: str
    generation_id: str | None
    num_images_a_class: int
    classes: list[ClassOutcome]
    refused: list[RefusedImage]
    warnings: list[DatasetWarning]
    seconds: dict[str, float]
    files: dict[str, str]

    @property
    def complete(self) -> bool:
        """Whether every class came out whole."""
        return all(one.failure is None for one in self.classes)


def render(report: Report, width: int) -> RenderableType:
    """Table, meanings, files and complaints, for a screen ``width`` characters wide."""
    per_table = max(1, (width - _LABEL_WIDTH) // max(_column_widths(report.classes)))
    tables = [
        _table(report, report.classes[first : first + per_table]) for first in range(0, len(report.classes), per_table)
    ]
    seconds = ", ".join(f"{part} {value:.0f}" for part, value in report.seconds.items())
    told = [Text(line) for line in ["", *_extractors(report), f"Seconds: {seconds}.", *_complaints(report)]]
    return Group(*tables, _pairs(MEANINGS), *told, _pairs(report.files.items()))


def write(report: Report, report_path: Path, summary_path: Path) -> None:
    """``report.json`` and ``summary.txt``."""
    report_path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    width = max(_TEXT_WIDTH, _LABEL_WIDTH + sum(_column_widths(report.classes)))
    with summary_path.open("w", encoding="utf-8") as stream:
        Console(file=stream, width=width).print(render(report, width))


def _column_widths(classes: list[ClassOutcome]) -> list[int]:
    return [max(len(one.class_name), _FIGURES_WIDTH) + _LINES_WIDTH for one in classes]


def _pairs(pairs: Iterable[tuple[str, str]]) -> Table:
    """Two columns without lines; long texts are wrapped in their column."""
    grid = Table.grid(padding=(0, 2))
    for first, second in pairs:
        grid.add_row(Text(first, style="bold"), Text(second, overflow="fold"))
    return grid


def _table(report: Report, classes: list[ClassOutcome]) -> Table:
    table = Table("", title=f"{report.base_model}: synthetic against real")
    for one in classes:
        table.add_column(Text(one.class_name), justify="right")
    for label, told in (("settings found", _found), ("trained up to", _trained), ("delivered", _delivered)):
        table.add_row(label, *(told(one) for one in classes))
    table.add_section()
    for label, cell in _quality_rows():
        table.add_row(label, *(cell(_quality(one)) for one in classes))
    table.add_section()
    for label, cells in _seconds_rows(classes):
        table.add_row(label, *cells)
    return table


def _found(one: ClassOutcome) -> str:
    found = one.adaptation.found if one.adaptation is not None else None
    if found is None:
        return _NOTHING
    sources = "two spliced sources" if found.splice_sources else "one source an image"
    return (
        f"{sources}\nstrength {found.strength:g}\nguidance {found.guidance_scale:g}\n{found.num_inference_steps} steps"
    )


def _trained(one: ClassOutcome) -> str:
    checkpoint = one.adaptation.checkpoint if one.adaptation is not None else None
    return checkpoint.replace("textual_inversion", "token") if checkpoint is not None else _NOTHING


def _delivered(one: ClassOutcome) -> str:
    judging = one.generation.judging if one.generation is not None else None
    if judging is None:
        return _NOTHING
    return f"{judging.num_accepted} of {judging.num_candidates} made"


def _quality(one: ClassOutcome) -> QualityReport | None:
    return one.generation.quality if one.generation is not None else None


Cell = Callable[[QualityReport | None], str]


def _quality_rows() -> list[tuple[str, Cell]]:
    def score(choose: Callable[[QualityReport], Score | None], show: Callable[[Score], str]) -> Cell:
        def cell(quality: QualityReport | None) -> str:
            chosen = choose(quality) if quality is not None else None
            return show(chosen) if chosen is not None else _NOTHING

        return cell

    return [
        ("measured against", _reference),
        ("FID", score(lambda q: q.score, _fid)),
        ("KID", score(lambda q: q.score, _kid)),
        ("FID at equal counts", score(lambda q: q.matched, _fid_of_n)),
        ("  its real floor", score(lambda q: q.real_floor, _fid_of_n)),
        ("  copy floor", score(lambda q: q.copy_floor, _fid)),
        ("KID at equal counts", score(lambda q: q.matched, _kid)),
        ("  its real floor", score(lambda q: q.real_floor, _kid)),
        ("  copy floor", score(lambda q: q.copy_floor, _kid)),
        ("copies found", _copies),
    ]


def _fid(score: Score) -> str:
    return f"{score.fid:.2f}"


def _fid_of_n(score: Score) -> str:
    counts = {score.num_real, score.num_other}
    return f"{score.fid:.2f} (n={'/'.join(str(count) for count in sorted(counts))})"


def _kid(score: Score) -> str:
    return f"{score.kid:.3f} ± {score.kid_std:.3f}"


def _reference(quality: QualityReport | None) -> str:
    if quality is None:
        return _NOTHING
    seen = ", seen" if quality.seen_by_adaptation else ", chosen by" if quality.seen_by_search else ""
    return f"{quality.score.num_real} {quality.reference_split}{seen}"


def _copies(quality: QualityReport | None) -> str:
    if quality is None or quality.copies is None:
        return _NOTHING
    return f"{quality.copies.num_copies} of {quality.copies.num_checked}"


def _seconds_rows(classes: list[ClassOutcome]) -> list[tuple[str, list[str]]]:
    adapted = [one.adaptation.stage_seconds if one.adaptation else {} for one in classes]
    generated = [one.generation.stage_seconds if one.generation else {} for one in classes]
    return [*_stages("adapting", adapted), *_stages("generating", generated)]


def _stages(verb: str, seconds: list[dict[str, float]]) -> list[tuple[str, list[str]]]:
    stages = dict.fromkeys(stage for one in seconds for stage in one)
    whole = (f"{verb}, seconds", [_seconds(sum(one.values()) if one else None) for one in seconds])
    return [
        whole,
        *((f"  {stage.replace('_', ' ')}", [_seconds(one.get(stage)) for one in seconds]) for stage in stages),
    ]


def _seconds(value: float | None) -> str:
    return f"{value:.1f}" if value is not None else _NOTHING


def _extractors(report: Report) -> list[str]:
    """What the scores stand on; scores of different extractors must never be compared."""
    used = {quality.extractor for one in report.classes if (quality := _quality(one)) is not None}
    return [f"Features: {one.name} ({one.digest[:12]}), {one.resize_rule}." for one in used]


def _complaints(report: Report) -> list[str]:
    """Failures, warnings, notes on scores and refused files; each once."""
    lines = [f"FAILED {one.class_name}: {one.failure}" for one in report.classes if one.failure is not None]
    lines += [f"Warning: {_of(warning.class_name)}{warning.message}" for warning in report.warnings]
    lines += [f"Note: {note}" for note in _notes(report.classes)]
    if report.refused:
        lines.append(f"Refused files ({len(report.refused)}):")
        lines += [f"  {one.filename}: {one.reason}. {one.remedy}" for one in report.refused[:_SHOWN_REFUSALS]]
    if len(report.refused) > _SHOWN_REFUSALS:
        lines.append(f"  and {len(report.refused) - _SHOWN_REFUSALS} more, all named in report.json")
    return [*lines, ""] if lines else [""]


def _of(class_name: str | None) -> str:
    return f"{class_name}: " if class_name is not None else ""


def _notes(classes: list[ClassOutcome]) -> Iterable[str]:
    found: dict[str, list[str]] = {}
    for one in classes:
        notes = list(one.adaptation.warnings) if one.adaptation is not None else []
        if one.generation is not None:
            quality = one.generation.quality
            notes += [*one.generation.warnings, *(quality.notes if quality is not None else [])]
        for note in notes:
            found.setdefault(note, []).append(one.class_name)
    return [f"{', '.join(names)}: {note}" for note, names in found.items()]
