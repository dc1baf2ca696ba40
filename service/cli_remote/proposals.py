"""What would be done, before anything is: the pre-flight of an adaptation, and a top-up of weak classes."""

import shlex
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from defectsynth_client import DefectsynthError
from defectsynth_client.proposals import ExpectedSeconds, Preflight, PreflightMemory, PreflightVerdict, TopUp
from service.cli_remote.showing import plain_table
from service.cli_remote.words import duration

_VERDICTS = {
    PreflightVerdict.READY: "[bold green]✓[/]",
    PreflightVerdict.READY_WITH_WARNINGS: "[bold yellow]![/]",
    PreflightVerdict.NOT_ADVISED: "[bold red]✗[/]",
}
_SPLITS = ("train", "validation", "test")


class NothingProposed(DefectsynthError):
    """No class is weak, or more images would not help."""


def preflight(told: Preflight) -> RenderableType:
    """The verdict, each class with what it is expected to take, and the faults."""
    table = plain_table("class", *_SPLITS, "expected", right=(*_SPLITS, "expected"))
    for one in told.classes:
        counts = [str(one.num_images.get(split) or "·") for split in _SPLITS]
        table.add_row(escape(one.class_name), *counts, _expected(one.seconds))
    faults = [(one.class_name, one.message) for kind in told.classes for one in kind.warnings]
    faults += [(one.class_name, one.message) for one in told.warnings]
    return Group(
        Text.from_markup(f"{_VERDICTS[told.verdict]} {escape(told.sentence)}\n"),
        Padding(table, (0, 0, 1, 2), expand=False),
        Text(f"  {_in_all(told)}\n  {_memory(told.memory)}"),
        *(Text.from_markup(f"\n[bold yellow]![/] {escape(f'{name}: ' if name else '')}{escape(message)}")
          for name, message in faults),
    )  # fmt: skip


def _in_all(told: Preflight) -> str:
    if told.seconds is None:
        return "Nothing tells how long it takes."
    basis = f"learned from {told.num_earlier_jobs} earlier jobs" if told.num_earlier_jobs else "a first guess"
    return f"In all {_expected(told.seconds)}, {basis}; nine in ten lie in the brackets."


def _memory(told: PreflightMemory) -> str:
    parts = [
        f"{_gib(expected)} of {what}{f', and a worker has {_gib(there)}' if there is not None else ''}"
        for what, expected, there in (
            ("memory", told.expected_bytes, told.worker_bytes),
            ("device memory", told.expected_device_bytes, told.worker_device_bytes),
        )
        if expected is not None
    ]
    return f"A job takes up to {'; '.join(parts)}." if parts else "Nothing tells how much memory it takes."


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"


def _expected(seconds: ExpectedSeconds | None) -> str:
    if seconds is None:
        return "·"
    return f"{duration(seconds.expected)} ({duration(seconds.low)} to {duration(seconds.high)})"


def top_up(told: TopUp) -> RenderableType:
    """Each class with its recall, what is proposed, and why."""
    table = plain_table("class", "recall", "images", "why", right=("recall", "images"))
    for one in told.classes:
        recall = f"{one.recall:.0%}" if one.recall is not None else "·"
        number = f"[bold]{one.num_images}[/]" if one.num_images else "·"
        table.add_row(escape(one.class_name), recall, number, escape(one.reason))
    return Group(Text(f"{told.sentence}\n"), Padding(table, (0, 0, 0, 2), expand=False))


def command_to_send(proposal: Path) -> str:
    """The command that asks for what was written to a file."""
    return shlex.join(["defectsynth", "generate", "--request", str(proposal), "--watch"])
