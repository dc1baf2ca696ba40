"""What the pages have in common: a state in words, a class's progress, facts by name."""

from dataclasses import dataclass

from service.contracts.jobs import JobState
from service.reports.records import DatasetRecord, JobRecord
from service.reports.wording import duration, percent, stage

_STATES = {
    JobState.QUEUED: "waiting for a worker",
    JobState.RUNNING: "running",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELED: "canceled",
}


@dataclass(frozen=True)
class Fact:
    """A name and what it stands for. ``code``: shown in a fixed-width face, because people copy it."""

    name: str
    value: str
    code: bool = False


@dataclass(frozen=True)
class Progressing:
    """Where a job stands, for a reader: ``problem`` and ``remedy`` where it failed."""

    state: str
    sentence: str
    percent: int | None = None
    problem: str | None = None
    remedy: str | None = None

    @property
    def is_unfinished(self) -> bool:
        """Whether the page will say more later."""
        return self.state in (JobState.QUEUED, JobState.RUNNING)


def progressing(job: JobRecord) -> Progressing:
    """A job's state in words."""
    sentence = f"This class is {_STATES[job.state]}."
    if job.state is JobState.RUNNING and job.progress is not None:
        left = job.progress.seconds_left
        soon = f", about {duration(left)} left" if left is not None else ""
        sentence = f"Running: {stage(job.progress.stage)}, {percent(job.progress.fraction)} of the whole{soon}."
        return Progressing(job.state.value, sentence, round(100 * job.progress.fraction))
    if job.failure is not None:
        return Progressing(job.state.value, sentence, None, job.failure.message, job.failure.remedy)
    return Progressing(job.state.value, sentence)


def dataset_facts(dataset: DatasetRecord | None) -> list[Fact]:
    """The dataset version; that it is gone where it is."""
    if dataset is None:
        return [Fact("dataset", "deleted since")]
    return [
        Fact("dataset", f"{dataset.name} (version {dataset.number})"),
        Fact("dataset version", dataset.version_id, code=True),
    ]
