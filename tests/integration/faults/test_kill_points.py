"""Jobs of every kind, killed at random moments and taken up by other processes, end as if nothing had happened.

The rows of finished jobs are put back into the queue as they were when they were submitted, so that the same job is
done again and again: undisturbed once, then killed.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete
from starlette.testclient import TestClient

from service.contracts.ids import DEFAULT_TENANT, JobId
from service.contracts.jobs import JobState
from service.main import create_app
from service.store import generations, jobs
from service.store.sweep import sweep
from service.store.tables import AdapterRow, GeneratedImageRow, JobRow
from tests.fakes.attempts import started
from tests.fakes.worker_world import World, now, quick
from tests.integration.test_recognition import CLASSES, NO_GATES, archive

#: In the middle of a job; more may hit a process that starts or ends.
NUM_KILLS = {"adaptation": 8, "generation": 6, "evaluation": 2, "recognition": 6}
_KILLS_IN_A_ROW = 3
_LATER_SECONDS = 3600.0


@dataclass
class Killing:
    """Runs the jobs of a resource, whole or in pieces."""

    world: World
    client: TestClient
    draws: random.Random = field(default_factory=lambda: random.Random(20))

    def submitted(self, path: str, body: dict[str, Any]) -> str:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def whole(self) -> float:
        """Work off the queue undisturbed; the seconds it took."""
        began = time.monotonic()
        process = started(self.world.settings.model_dump())
        process.join()
        assert process.exitcode == 0
        return time.monotonic() - began

    def in_pieces(self, resource_id: str, whole_seconds: float) -> int:
        """Work off the queue with processes of which the first few are killed at moments drawn at random.

        How many of them were killed in the middle of a job.
        """
        num_kills = 0
        for _ in range(_KILLS_IN_A_ROW):
            process = started(self.world.settings.model_dump())
            process.join(self.draws.uniform(0.1, 0.9) * whole_seconds / _KILLS_IN_A_ROW)
            process.kill()
            process.join()
            num_kills += any(row.state == JobState.RUNNING for row in self.rows(resource_id))
            self.give_back()
        self.whole()
        return num_kills

    def give_back(self) -> None:
        """What the sweep does once the leases ran out."""
        with self.world.database.transaction() as session:
            later = now() + timedelta(seconds=_LATER_SECONDS)
            sweep(session, now=later, max_attempts=1000, resend_after_seconds=_LATER_SECONDS)

    def rows(self, resource_id: str) -> list[JobRow]:
        with self.world.database.reading() as session:
            return jobs.of_resources(session, DEFAULT_TENANT, [resource_id])

    def queue_again(self, resource_id: str) -> None:
        """Forget what the jobs made, and put them back as they were submitted."""
        with self.world.database.transaction() as session:
            for row in jobs.of_resources(session, DEFAULT_TENANT, [resource_id]):
                session.execute(delete(AdapterRow).where(AdapterRow.job_id == row.id))
                session.execute(delete(GeneratedImageRow).where(GeneratedImageRow.job_id == row.id))
                row.state, row.result, row.interim, row.finished_at = JobState.QUEUED, None, None, None

    def made(self, resource_id: str) -> dict[str, Any]:
        """By class: digests of adapter and images, and what the job found, without what the clock says."""
        found = {}
        for row in self.rows(resource_id):
            assert row.state == JobState.SUCCEEDED, row.failure
            with self.world.database.reading() as session:
                archives = [one.archive_sha256 for one in session.query(AdapterRow).filter_by(job_id=row.id)]
                images = generations.images_of(session, DEFAULT_TENANT, resource_id, row.class_name)
            result = without_seconds(row.result)
            if row.kind == "generation":  # Its features are computed in other batches, which is told in the last digit.
                result = {key: result[key] for key in ("num_images", "judging", "contact_sheet", "warnings")}
            digests = [(image.number, image.sha256, image.seed) for image in images]
            found[row.class_name] = (archives, digests, {**result, "adapter_id": None})
        return found


def without_seconds(result: Any) -> Any:
    if isinstance(result, dict):
        return {key: without_seconds(value) for key, value in result.items() if "seconds" not in key}
    return [without_seconds(one) for one in result] if isinstance(result, list) else result


@pytest.fixture
def killing(file_world: World) -> Iterator[Killing]:
    app = create_app(
        file_world.settings, database=file_world.database, artifacts=file_world.artifacts, send=lambda *_: True
    )
    with TestClient(app) as client:
        yield Killing(file_world, client)


def test_jobs_killed_at_random_moments_give_the_bytes_of_jobs_that_were_not(killing: Killing) -> None:
    dataset_id = killing.client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()["id"]
    settings = quick(steps=12, num_trials=2).model_dump(mode="json")
    ids: dict[str, str] = {}
    for kind, path, body in (
        ("adaptation", "/v1/adaptations", lambda: {"dataset_id": dataset_id, "settings": settings}),
        ("generation", "/v1/generations", lambda: {
            "adaptation_id": ids["adaptation"], "num_images": 32, "seed": 5,
            "gates": {"wrong_class": False, "outliers": False},
        }),
        ("evaluation", "/v1/evaluations", lambda: {
            "real": {"source": "dataset", "dataset_id": dataset_id, "class_name": CLASSES[0], "split": "train"},
            "other": {"source": "generation", "generation_id": ids["generation"], "class_name": CLASSES[0]},
        }),
        ("recognition", "/v1/recognitions", lambda: {
            "dataset_id": dataset_id, "generation_id": ids["generation"],
            "settings": {"ratios": [0.5, 1], "num_seeds": 2, "num_selection_seeds": 1, "steps": 15,
                         "image_size_px": 32},
        }),
    ):  # fmt: skip
        ids[kind] = killing.submitted(path, body())
        whole_seconds = killing.whole()
        undisturbed = killing.made(ids[kind])
        num_kills = 0
        for _ in range(20):
            killing.queue_again(ids[kind])
            num_kills += killing.in_pieces(ids[kind], whole_seconds)
            assert killing.made(ids[kind]) == undisturbed, kind
            if num_kills >= NUM_KILLS[kind]:
                break
        assert num_kills >= NUM_KILLS[kind], kind


def test_a_generation_whose_worker_is_asked_to_stop_keeps_every_image_and_goes_on(killing: Killing) -> None:
    dataset_id = killing.client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()["id"]
    settings = quick().model_dump(mode="json")
    adaptation_id = killing.submitted(
        "/v1/adaptations", {"dataset_id": dataset_id, "classes": [CLASSES[0]], "settings": settings}
    )
    killing.whole()
    asked = {"adaptation_id": adaptation_id, "num_images": 64, "seed": 5, "gates": NO_GATES}
    generation_id = killing.submitted("/v1/generations", asked)
    killing.whole()
    undisturbed = killing.made(generation_id)
    killing.queue_again(generation_id)
    process = started(killing.world.settings.model_dump(), checkpoint_seconds=3600)
    (row,) = killing.rows(generation_id)
    told = killing.world.wait(JobId(row.id), lambda row: images_done(row) >= 16)
    process.terminate()
    process.join()
    stopped = killing.world.job(JobId(row.id))
    assert (stopped.state, stopped.attempts) == (JobState.QUEUED, row.attempts)
    assert len((stopped.interim or {})["images"]) >= images_done(told)
    killing.whole()
    assert killing.made(generation_id) == undisturbed


def images_done(row: JobRow) -> int:
    return int((row.progress or {"figures": {}})["figures"].get("images_done", 0))
