"""Figures as tables: scores beside the floors that give them a meaning."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from defectsynth_client import GenerationReport
from defectsynth_client.quality import Estimate, Interval, Quality, RecognitionResult, Verdict

_VERDICTS = {Verdict.GAIN_SHOWN: "bold green", Verdict.NO_GAIN_SHOWN: "bold yellow", Verdict.HARM_SHOWN: "bold red"}


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=bool(number))
    return table


def generation_report(report: GenerationReport) -> RenderableType:
    """What was delivered of each class, how close it is, and why the rest was rejected."""
    delivered = _table("class", "delivered", "asked for", "made", "rejected")
    for name, result in report.results.items():
        asked, judging = result.num_requested or result.num_images, result.judging
        made = str(judging.num_candidates) if judging is not None else "·"
        why = judging.rejected.items() if judging is not None else ()
        rejected = ", ".join(f"{number} {reason.replace('_', ' ')}" for reason, number in why if number)
        delivered.add_row(escape(name), str(result.num_images), str(asked), made, rejected or "·")
    scored = [result.quality for result in report.results.values() if result.quality is not None]
    answers = {name: one.as_close for name, one in report.answers.items()}
    notes = [f"{name}: {one}" for name, result in report.results.items() for one in result.warnings]
    failures = [f"{name}: {one.message} {one.remedy}" for name, one in report.failures.items()]
    return Group(
        Text.from_markup(f"[bold]Report[/]  [cyan]{report.generation_id}[/]\n"),
        Padding(delivered, (0, 0, 1, 2), expand=False),
        quality(scored, answers) if scored else Text("  No class has a score yet.", style="dim"),
        *(Text.from_markup(f"\n[bold yellow]![/] {escape(one)}") for one in notes),
        *(Text.from_markup(f"\n[bold red]✗[/] {escape(one)}") for one in failures),
    )


def quality(scored: Sequence[Quality], answers: Mapping[str, str] | None = None) -> RenderableType:
    """A class a row, and below what the figures stand on. ``answers``: whether a class's images are close, in words."""
    told = answers or {}
    close = ["as close?"] if told else []
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    table.add_column("class", overflow="fold")
    for name in (*close, "KID", "copy floor", "FID", "real floor", "coverage", "copies"):
        table.add_column(name, justify="right", overflow="fold")
    for one in scored:
        copies = f"{one.copies.num_copies} of {one.copies.num_checked}" if one.copies is not None else "·"
        table.add_row(
            escape(one.class_name),
            *([told.get(one.class_name, "·")] if told else []),
            f"{one.matched.kid:.3g}{_interval(one.matched.kid_interval, '.2g')}",
            "·" if one.copy_floor is None else f"{one.copy_floor.kid:.3g}",
            f"{one.matched.fid:.3g}",
            f"{one.real_floor.fid:.3g}",
            _share(one.coverage),
            copies,
        )
    bases = sorted({_basis(one) for one in scored})
    cautions = sorted({_caution(one) for one in scored} - {""})
    return Padding(
        Group(
            table,
            *(Text(f"\n{one}", style="dim") for one in bases),
            *(Text(f"\n! {one}", style="yellow") for one in cautions),
        ),
        (0, 0, 0, 2),
        expand=False,
    )


def _basis(one: Quality) -> str:
    return (
        f"features of {one.extractor.name!r}, against {one.reference_split} images, KID and FID at equal counts, in "
        "brackets 95 %; copy floor: KID of plain copies; real floor: FID of real images to each other, whose KID is 0"
    )


def _caution(one: Quality) -> str:
    """Why the scores flatter; empty where they do not."""
    if one.seen_by_adaptation:
        why = "the adapter was trained on these"
    elif one.seen_by_search:
        why = "the search chose the settings by these"
    elif one.seen_as_sources:
        why = "the synthetic images began as these"
    else:
        return ""
    return f"Scores against {one.reference_split} images flatter: {why}."


def recognition_table(result: RecognitionResult) -> RenderableType:
    """The verdict in words, then each way to train."""
    table = _table("trained on", "real", "synthetic", "accuracy", "macro F1")
    for arm in result.arms:
        table.add_row(
            arm.arm.replace("_", " "), str(arm.num_real), str(arm.num_synthetic),
            *(_percent(one, not result.is_inconclusive) for one in (arm.accuracy, arm.macro_f1)),
        )  # fmt: skip
    return Group(
        Text.from_markup(f"[{_VERDICTS[result.verdict]}]{escape(result.sentence)}[/]\n"),
        Padding(table, (0, 0, 0, 2), expand=False),
        *(Text(f"\n! {one}", style="yellow") for one in result.notes),
    )


def _interval(one: Interval | None, form: str) -> str:
    return f" ({one.low:{form}} to {one.high:{form}})" if one is not None else ""


def _share(one: Estimate | None) -> str:
    return f"{one.value:.2f}{_interval(one.interval, '.2f')}" if one is not None else "·"


def _percent(one: Estimate, conclusive: bool) -> str:
    return f"{one.value:.1%}{_interval(one.interval if conclusive else None, '.1%')}"
