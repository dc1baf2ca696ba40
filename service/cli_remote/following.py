"""Work as it goes: a bar a class on a terminal, nothing where nobody looks. Ctrl-C leaves the work alone."""

from types import TracebackType
from typing import Self, TypeVar

import typer
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from defectsynth_client import Job, State
from defectsynth_client.models import Work
from service.cli_remote.ending import ExitCode
from service.cli_remote.session import Session
from service.cli_remote.words import duration, glyph, stage_words

Watched = TypeVar("Watched", bound=Work)


def followed(session: Session, work: Watched) -> Watched:
    """The work as it ended, well or not. Ctrl-C ends the command, and says how to go on watching."""
    try:
        with Bars(session) as bars:
            return session.client.wait(work, bars.show, must_succeed=False)
    except KeyboardInterrupt:
        session.notes.print(
            f"\n{work.id} goes on without you. Watch it again: [bold]defectsynth watch {work.id}[/]   "
            f"Stop it: [bold]defectsynth cancel {work.id}[/]",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def wide_bar() -> BarColumn:
    """As every command draws it."""
    return BarColumn(bar_width=28, complete_style="cyan", finished_style="green", pulse_style="cyan")


class Bars:
    """One bar a job, gone when all have ended: the result says more."""

    def __init__(self, session: Session) -> None:
        self._bars = Progress(
            _State(),
            TextColumn("{task.description}", markup=False),
            wide_bar(),
            TextColumn("{task.percentage:>3.0f} %"),
            _Left(),
            TextColumn("[dim]{task.fields[told]}[/]"),
            console=session.notes,
            transient=True,
            disable=not session.notes.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars away."""
        self._bars.stop()

    def show(self, job: Job) -> None:
        """Move the job's bar."""
        if job.id not in self._tasks:
            self._tasks[job.id] = self._bars.add_task(job.class_name, total=1.0, told="", job=job)
        fraction = job.progress.fraction if job.progress is not None else 0.0
        completed = 1.0 if job.state is State.SUCCEEDED else fraction
        self._bars.update(self._tasks[job.id], completed=completed, told=stage_words(job), job=job)


class _State(ProgressColumn):
    """A spinner while the job runs, then how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self._spinner = SpinnerColumn(style="cyan")

    def render(self, task: Task) -> Text:
        """One character."""
        job: Job = task.fields["job"]
        return Text.from_markup(glyph(job.state)) if job.state is not State.RUNNING else self._turning(task)

    def _turning(self, task: Task) -> Text:
        drawn = self._spinner.render(task)
        return drawn if isinstance(drawn, Text) else Text(" ")


class _Left(ProgressColumn):
    """The service's own estimate."""

    def render(self, task: Task) -> Text:
        """For example ``2:31 left``."""
        job: Job = task.fields["job"]
        left = job.seconds_left
        return Text(f"{duration(left)} left" if left is not None else "", style="cyan", justify="right")
