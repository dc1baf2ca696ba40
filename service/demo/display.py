"""Jobs as they go: a bar a class on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from service.api.views import JobView
from service.contracts.jobs import JobState

_LINE_SECONDS = 5.0
_STAGE_WORDS = {
    "caching_latents": "encoding images",
    "textual_inversion": "stage 1, token",
    "lora": "stage 2, LoRA",
    "denoising": "denoising",
    "quality": "judging",
}


class Display(Protocol):
    """Shows jobs for as long as its block runs."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        ...

    def show(self, jobs: Sequence[JobView]) -> None:
        """All jobs as they stand now."""
        ...


def display_for(console: Console, verb: str) -> Display:
    """Bars where ``console`` is a terminal, lines elsewhere. ``verb``: what the jobs do, such as ``adapting``."""
    return Bars(console, verb) if console.is_terminal else Lines(console, verb)


def told(job: JobView) -> str:
    """Where a job stands, in a few words."""
    if job.state is not JobState.RUNNING or job.progress is None:
        place = f" ({job.queue_position}. in line)" if job.queue_position else ""
        return f"{job.state}{place}"
    progress, words = job.progress, _STAGE_WORDS.get(job.progress.stage, job.progress.stage.replace("_", " "))
    parts = [f"{words} {progress.step}/{progress.total}"]
    if "loss" in progress.figures:
        parts.append(f"loss {progress.figures['loss']:.3f}")
    if "images_done" in progress.figures:
        parts.append(f"{progress.figures['images_done']:.0f} images")
    return ", ".join(parts)


class Bars:
    """One bar a class."""

    def __init__(self, console: Console, verb: str) -> None:
        self._verb = verb
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they are last."""
        self._bars.stop()

    def show(self, jobs: Sequence[JobView]) -> None:
        """Move the bars; the clock of each starts with its job."""
        for job in jobs:
            task = self._task(job)
            if job.state is not JobState.QUEUED and self._bars.tasks[task].start_time is None:
                self._bars.start_task(task)
            fraction = job.progress.fraction if job.progress is not None else 0.0
            completed = 1.0 if job.state is JobState.SUCCEEDED else fraction
            self._bars.update(task, completed=completed, told=told(job))
            if job.state.is_final:
                self._bars.stop_task(task)

    def _task(self, job: JobView) -> TaskID:
        if job.id not in self._tasks:
            name = f"{self._verb} {job.class_name}"
            self._tasks[job.id] = self._bars.add_task(name, start=False, total=1.0, told="")
        return self._tasks[job.id]


class Lines:
    """At most one line every few seconds, and one for each job that ends."""

    def __init__(self, console: Console, verb: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._verb = verb
        self._clock = clock
        self._begun_at = clock()
        self._due_at = self._begun_at
        self._ended: set[str] = set()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to undo."""

    def show(self, jobs: Sequence[JobView]) -> None:
        """Say what ended since the last line, and what runs now when a line is due."""
        for job in jobs:
            if job.state.is_final and job.id not in self._ended:
                self._ended.add(job.id)
                self._say(f"{job.class_name}: {job.state}", len(jobs))
        running = [job for job in jobs if job.state is JobState.RUNNING]
        if running and self._clock() >= self._due_at:
            self._due_at = self._clock() + _LINE_SECONDS
            self._say("; ".join(f"{job.class_name}: {_percent(job)}{told(job)}" for job in running), len(jobs))

    def _say(self, message: str, num_jobs: int) -> None:
        seconds = self._clock() - self._begun_at
        line = f"{self._verb} [{seconds:4.0f} s, {len(self._ended)}/{num_jobs} done] {message}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _percent(job: JobView) -> str:
    return f"{job.progress.fraction:.0%}, " if job.progress is not None else ""
