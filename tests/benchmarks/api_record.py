"""A record to measure the API on: jobs in each state, and generations of many images."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from service.contracts.adaptations import AdaptationResult, CurvePoint
from service.contracts.generations import GeneratedImage, GenerationParams, GenerationSettings
from service.contracts.ids import DEFAULT_TENANT, AdapterId, GenerationId, JobId
from service.contracts.jobs import JobKind, JobState, Progress
from service.settings import Settings
from service.store import generations
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from service.store.tables import JobRow

NUM_FINISHED, NUM_QUEUED = 1_000, 50
IMAGE_BYTES = 40_000
_NOW = datetime.now(UTC)


def fill(settings: Settings) -> None:
    """Migrate, and write jobs ``job_running``, ``job_queued``, ``job_succeeded`` among others."""
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    rows = [_row(f"job_{number:06}", JobState.SUCCEEDED, number) for number in range(NUM_FINISHED)]
    rows += [_row(f"job_waiting_{number}", JobState.QUEUED, number + 1) for number in range(NUM_QUEUED)]
    rows += [_row(f"job_{state}", state, 0) for state in (JobState.RUNNING, JobState.QUEUED, JobState.SUCCEEDED)]
    with database.transaction() as session:
        session.execute(insert(JobRow), rows)
    database.close()


def publish(settings: Settings, generation_id: str, num_images: int) -> None:
    """A finished generation of one class, whose images are as large as PNG of 200 px are."""
    database, artifacts = Database(settings.sqlalchemy_url), LocalArtifacts(settings.artifacts_dir)
    params = GenerationParams(
        generation_id=GenerationId(generation_id), adapter_id=AdapterId("adp"), class_name="pits",
        num_images=num_images, seed=0, settings=GenerationSettings(),
    )  # fmt: skip
    with ThreadPoolExecutor(4) as threads:
        stored = list(threads.map(artifacts.put_bytes, [os.urandom(IMAGE_BYTES) for _ in range(num_images)]))
    images = [
        GeneratedImage(
            class_name="pits", number=number, sha256=one.sha256, size_bytes=one.size_bytes, width_px=200,
            height_px=200, mode="L", seed=number, source_image_id=None,
        )
        for number, one in enumerate(stored)
    ]  # fmt: skip
    job = _row(f"job_of_{generation_id}", JobState.SUCCEEDED, 0)
    job |= {"kind": JobKind.GENERATION, "resource_id": generation_id, "params": params.model_dump(mode="json")}
    job |= {"result": None}
    with database.transaction() as session:
        generations.insert(session, DEFAULT_TENANT, params.generation_id, 0, params.settings, _NOW)
        session.execute(insert(JobRow), [job])
        generations.insert_images(session, DEFAULT_TENANT, params.generation_id, JobId(job["id"]), images)
    database.close()


def _row(job_id: str, state: JobState, age: int) -> dict[str, object]:
    began = None if state is JobState.QUEUED else _NOW - timedelta(minutes=1)
    progress = Progress(stage="lora", step=120, total=300, fraction=0.55, seconds_left=20.0, figures={"loss": 0.11})
    return {
        "id": job_id, "tenant_id": DEFAULT_TENANT, "kind": JobKind.ADAPTATION, "resource_id": "adn_1",
        "class_name": "pits", "state": state, "params": {}, "revision": 7, "attempts": 1, "fencing_token": 1,
        "priority": 0, "created_at": _NOW - timedelta(seconds=age), "started_at": began,
        "progress": progress.model_dump(mode="json") if began is not None else None,
        "result": _result() if state is JobState.SUCCEEDED else None,
    }  # fmt: skip


def _result() -> dict[str, object]:
    curve = [CurvePoint(stage="lora", step=step, loss=0.1 + 1 / (step + 10)) for step in range(60)]
    result = AdaptationResult(
        adapter_id=AdapterId("adp"), num_train_images=20, stage_seconds={"lora": 35.0}, loss_curve=curve
    )
    return result.model_dump(mode="json")
