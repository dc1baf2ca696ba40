"""Jobs and what they belong to, as the page shows them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.api.presenting import state_of
from service.api.views import JobView
from service.contracts.jobs import Figure, JobKind, JobState, Progress
from service.reports.pages import progressing
from service.reports.records import JobRecord
from service.reports.wording import duration, figure, stage
from service.store.tables import JobRow

KIND_NAMES = {
    JobKind.ADAPTATION: "Adaptation",
    JobKind.GENERATION: "Generation",
    JobKind.EVALUATION: "Evaluation",
    JobKind.RECOGNITION: "Recognition",
}


@dataclass(frozen=True)
class JobCard:
    """One job. ``left``: what is left of it in words; ``percent`` is None unless it runs."""

    id: str
    kind: str
    class_name: str
    state: str
    sentence: str
    stage: str
    left: str
    percent: int | None
    figures: Sequence[tuple[str, str]]
    problem: str | None
    remedy: str | None
    is_final: bool
    is_stopping: bool
    href: str
    ended: str


def job_card(job: JobView) -> JobCard:
    """A job as a person reads it."""
    told = progressing(JobRecord(job.class_name, job.state, job.progress, job.failure))
    running = job.state is JobState.RUNNING
    return JobCard(
        id=job.id,
        kind=KIND_NAMES[job.kind],
        class_name=job.class_name,
        state=job.state.value,
        sentence=_sentence(job),
        stage=_stage(job),
        left=f"about {duration(job.seconds_left)} left" if running and job.seconds_left else "",
        percent=told.percent if running else None,
        figures=_figures(job) if running else [],
        problem=told.problem,
        remedy=told.remedy,
        is_final=job.state.is_final,
        is_stopping=running and job.cancel_requested_at is not None,
        href=page_of(job.kind, job.resource_id),
        ended=_ended(job),
    )


def page_of(kind: JobKind, resource_id: str) -> str:
    """Where the page shows a resource."""
    return kind.path_of(resource_id).removeprefix("/v1")


def _sentence(job: JobView) -> str:
    if job.state is JobState.QUEUED:
        return f"Waiting, number {job.queue_position} in the queue" if job.queue_position else "Waiting for a worker"
    if job.state is JobState.RUNNING:
        return "Stopping" if job.cancel_requested_at is not None else "Running"
    return {JobState.SUCCEEDED: "Done", JobState.FAILED: "Failed", JobState.CANCELED: "Canceled"}[job.state]


def _stage(job: JobView) -> str:
    if job.progress is None or job.state is not JobState.RUNNING:
        return ""
    told = stage(job.progress.stage)
    words = told[:1].upper() + told[1:]
    return f"{words}, {job.progress.step} of {job.progress.total}" if job.progress.total > 1 else words


def _figures(job: JobView) -> list[tuple[str, str]]:
    given = job.progress.figures if job.progress is not None else {}
    shown = []
    if Figure.LOSS in given:
        shown.append(("loss", figure(given[Figure.LOSS])))
    if Figure.IMAGES_DONE in given:
        made = f" of {given[Figure.NUM_CANDIDATES]:.0f} made" if given.get(Figure.NUM_CANDIDATES) else ""
        shown.append(("images", f"{given[Figure.IMAGES_DONE]:.0f}{made}"))
    return shown


def _ended(job: JobView) -> str:
    if job.started_at is None or job.finished_at is None:
        return ""
    return f"took {duration((job.finished_at - job.started_at).total_seconds())}"


@dataclass(frozen=True)
class WorkLine:
    """One resource in a list. ``share`` in percent while it is under way."""

    href: str
    title: str
    detail: str
    state: str
    share: int | None
    at: datetime
    ago: str


def line(href: str, title: str, detail: str, jobs: Sequence[JobRow], at: datetime, now: datetime) -> WorkLine:
    """A resource by its jobs."""
    unfinished = any(not JobState(job.state).is_final for job in jobs)
    share = round(100 * sum(map(_share, jobs)) / len(jobs)) if unfinished else None
    return WorkLine(href, title, detail, state_of(jobs).value, share, at, ago(at, now))


def _share(job: JobRow) -> float:
    if JobState(job.state).is_final:
        return 1.0
    return Progress.model_validate(job.progress).fraction if job.progress is not None else 0.0


def ago(at: datetime, now: datetime) -> str:
    """How long since, in the largest unit that fits."""
    seconds = max((now - at).total_seconds(), 0)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("min", 60)):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'s' if number > 1 and unit != 'min' else ''} ago"
    return "just now"


def digest(part: object) -> str:
    """A short name of what is shown: the same for equal dataclasses alone."""
    return hashlib.sha256(repr(part).encode()).hexdigest()[:16]


def some(names: Sequence[str], most: int = 4) -> str:
    """A few names, and how many more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
