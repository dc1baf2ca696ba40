"""One worker runs generations of one base model together: as sound as each alone, whatever becomes of the worker."""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from multiprocessing.process import BaseProcess

import numpy as np
import pytest

from service.contracts.adaptations import AdaptationResult
from service.contracts.generations import GenerationSettings
from service.contracts.ids import DEFAULT_TENANT, AdapterId, GenerationId, JobId
from service.contracts.jobs import JobState
from service.store import generations
from service.store.sweep import sweep
from service.store.tables import JobRow
from tests.fakes.attempts import started
from tests.fakes.worker_world import CLASS_NAME, World, build_registry, now, quick
from worker.company import LEFT_TO_OTHERS
from worker.workspace import load_images

#: Jobs differ in everything that they may differ in; the third has room beside it in the first two's calls.
ASKED = [
    (GenerationSettings(num_inference_steps=60, strength=0.5), 3),
    (GenerationSettings(num_inference_steps=40, strength=0.9, guidance_scale=1, lora_scale=0.5), 4),
    (GenerationSettings(num_inference_steps=50, unadapted=True), 2),
]


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, AdapterId]]:
    """A world with an adapter, in float32, in which rows beside others are rounded almost as alone."""
    folder = tmp_path_factory.mktemp("shared")
    registry = build_registry(folder / "models")
    registry.write_text(registry.read_text() + "bfloat16_on_cpu = false\n")
    world = World(folder / "data", registry)
    job_id = world.submit_adaptation(quick(), send=False)
    work_off(world)
    yield world, AdaptationResult.model_validate(world.job(job_id).result).adapter_id
    world.close()


def work_off(world: World, max_shared: int = 1) -> None:
    process = started(world.settings.model_dump(), max_shared_generations=max_shared)
    process.join()
    assert process.exitcode == 0


def submitted(world: World, adapter_id: AdapterId) -> list[tuple[GenerationId, JobId]]:
    made = [world.submit_generation(adapter_id, settings, count, send=False) for settings, count in ASKED]
    time.sleep(LEFT_TO_OTHERS.total_seconds())
    return made


def under_way_together(world: World, adapter_id: AdapterId) -> tuple[list[tuple[GenerationId, JobId]], BaseProcess]:
    """The jobs, all with progress, and the one worker that runs them."""
    made = submitted(world, adapter_id)
    process = started(world.settings.model_dump(), max_shared_generations=3)
    for _, job_id in made:
        world.wait(job_id, lambda row: row.state == JobState.RUNNING and bool(row.progress))
    return made, process


def images(world: World, generation_id: GenerationId) -> list[np.ndarray]:
    with world.database.reading() as session:
        rows = generations.images_of(session, DEFAULT_TENANT, generation_id, CLASS_NAME)
    return [np.asarray(one, dtype=np.int16) for one in load_images(world.artifacts, [row.sha256 for row in rows])]


def span(row: JobRow) -> tuple[float, float]:
    assert row.started_at is not None and row.finished_at is not None
    return row.started_at.timestamp(), row.finished_at.timestamp()


def assert_same_images(world: World, one: GenerationId, other: GenerationId) -> None:
    pairs = list(zip(images(world, one), images(world, other), strict=True))
    assert pairs and max(int(np.abs(a - b).max()) for a, b in pairs) <= 1


def test_jobs_run_together_make_the_images_that_they_make_alone(adapted: tuple[World, AdapterId]) -> None:
    world, adapter_id = adapted
    alone, together = submitted(world, adapter_id), []
    work_off(world)
    together = submitted(world, adapter_id)
    canceled_id = world.submit_generation(adapter_id, ASKED[0][0], 2, send=False)[1]
    broken_id = world.submit_generation(adapter_id, ASKED[0][0], 2, send=False)[1]
    with world.database.transaction() as session:
        session.get_one(JobRow, broken_id).params = {}
    time.sleep(LEFT_TO_OTHERS.total_seconds())
    process = started(world.settings.model_dump(), max_shared_generations=5)
    world.wait(canceled_id, lambda row: row.state == JobState.RUNNING)
    world.cancel(canceled_id)
    process.join()
    assert (world.job(canceled_id).state, world.job(broken_id).state) == (JobState.CANCELED, JobState.FAILED)
    rows = [world.job(job_id) for _, job_id in together]
    assert [row.state for row in rows] == [JobState.SUCCEEDED] * 3
    assert max(span(row)[0] for row in rows) < min(span(row)[1] for row in rows), "all were under way at once"
    apart = sorted(span(world.job(job_id)) for _, job_id in alone)
    assert all(before[1] <= after[0] for before, after in pairwise(apart))
    for (one, _), (other, _) in zip(alone, together, strict=True):
        assert_same_images(world, one, other)


def test_jobs_lost_together_are_taken_up_again_each_alone(adapted: tuple[World, AdapterId]) -> None:
    world, adapter_id = adapted
    made, process = under_way_together(world, adapter_id)
    process.kill()
    process.join()
    assert {world.job(job_id).state for _, job_id in made} == {JobState.RUNNING}
    with world.database.transaction() as session:
        sweep(session, now=now() + timedelta(hours=1), max_attempts=3, resend_after_seconds=3600)
    work_off(world, max_shared=3)
    rows = [world.job(job_id) for _, job_id in made]
    assert [(row.state, row.attempts) for row in rows] == [(JobState.SUCCEEDED, 2)] * 3
    apart = sorted(span(row) for row in rows)
    assert all(before[1] <= after[0] for before, after in pairwise(apart))


def test_a_worker_that_is_asked_to_stop_gives_all_of_them_back(adapted: tuple[World, AdapterId]) -> None:
    world, adapter_id = adapted
    made, process = under_way_together(world, adapter_id)
    process.terminate()
    process.join()
    assert [(world.job(job_id).state, world.job(job_id).attempts) for _, job_id in made] == [(JobState.QUEUED, 0)] * 3
    work_off(world, max_shared=3)
    assert {world.job(job_id).state for _, job_id in made} == {JobState.SUCCEEDED}
