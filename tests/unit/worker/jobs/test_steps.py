"""What a generation job tells of itself while it runs, as far as the person who reads it."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from defectsynth_client import Job
from service.api.views import JobView
from service.cli_remote.words import stage_words
from service.contracts.jobs import JobKind, JobState, Progress
from service.web.work import job_card
from worker.jobs.delivery import Delivery, Steps
from worker.progress import Gauge, ProgressWriter


def told(num_done: int, num_candidates: int) -> Progress:
    """What the worker writes of a generation of twenty."""
    written: list[Progress] = []
    writer = ProgressWriter(Gauge({"denoising": 1.0}), check=lambda: None, write=written.append)
    made: Any = SimpleNamespace(
        num_accepted=num_done,
        num_candidates=num_candidates,
        next_batch=lambda batch_size: batch_size,
        params=SimpleNamespace(num_images=20),
    )
    Steps(writer, cast(Delivery, made), batch_size=8)("denoising", 3, 30)
    return written[-1]


def running(progress: Progress) -> JobView:
    return JobView(
        id="job_1", kind=JobKind.GENERATION, state=JobState.RUNNING, resource_id="gen_1", class_name="pits", attempts=1,
        progress=progress, revision=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), links={},
    )  # fmt: skip


def test_the_page_and_the_command_line_count_the_images_that_the_worker_tells_of() -> None:
    job = running(told(8, 13))
    assert job_card(job).figures == [("images", "8 of 13 made")]
    assert stage_words(Job.model_validate(job.model_dump())).endswith("8 images of 13 made")
    first = running(told(0, 0))
    assert job_card(first).figures == [("images", "0")]
    assert stage_words(Job.model_validate(first.model_dump())).endswith("0 images")
