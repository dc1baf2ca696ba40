"""Killed workers, lost messages, cancellation and shutdown, with real processes."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from service.contracts.ids import DEFAULT_TENANT, JobId
from service.contracts.jobs import JobState
from service.contracts.search import TrialExample
from service.store import trial_examples
from service.store.tables import JobRow
from tests.fakes.worker_world import CLASS_NAME, World, quick

#: Long enough to be caught in the middle.
LONG = quick(steps=60)


def in_training(row: JobRow) -> bool:
    return row.state == JobState.RUNNING and row.progress is not None and row.progress["stage"] == "textual_inversion"


def is_final(row: JobRow) -> bool:
    return JobState(row.state).is_final


def child_of(pid: int) -> int:
    """The pool process of a worker."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[-1])


def test_a_job_whose_worker_is_killed_is_taken_up_by_another(file_world: World) -> None:
    with file_world.running("worker.maintenance"):
        job_id = file_world.submit_adaptation(LONG)
        with file_world.running("worker") as killed:
            file_world.wait(job_id, in_training)
            pool_process = child_of(killed.pid)
            killed.kill()
            killed.wait()
            assert ended(pool_process)
        with file_world.running("worker"):
            row = file_world.wait(job_id, is_final)
    assert (row.state, row.attempts, row.fencing_token) == (JobState.SUCCEEDED, 2, 2)


@pytest.mark.parametrize("replaced", [False, True], ids=["as it was", "with another base model"])
def test_a_killed_search_goes_on_from_its_trials_unless_the_models_were_replaced(
    file_world: World, replaced: bool
) -> None:
    with file_world.running("worker.maintenance"):
        job_id = file_world.submit_adaptation(quick(num_trials=9))
        with file_world.running("worker") as killed:
            kept = trials_of(file_world.wait(job_id, lambda row: len(trials_of(row)) >= 3))
            shown = examples_of(file_world, job_id)
            killed.kill()
            killed.wait()
        if replaced:
            with file_world.database.transaction() as session:
                row = session.get_one(JobRow, job_id)
                row.interim = {**(row.interim or {}), "made_with": "another base model"}
        with file_world.running("worker"):
            row = file_world.wait(job_id, is_final)
    assert (row.state, row.attempts) == (JobState.SUCCEEDED, 2)
    found = trials_of(row)
    assert [trial["number"] for trial in found] == list(range(len(found))) and len(found) >= 8
    # Seconds are of the clock: a trial that has the same ones was not made again.
    assert ([trial["seconds"] for trial in found[:3]] == [trial["seconds"] for trial in kept[:3]]) != replaced
    assert [trial["kid"] for trial in found[:3]] == [trial["kid"] for trial in kept[:3]]
    # Each trial shows the same sources and seeds. Those that were made again are the same bytes.
    examples = examples_of(file_world, job_id)
    assert [one.trial for one in examples] == [trial["number"] for trial in found for _ in range(4)]
    assert len({(one.number, one.seed, one.source_image_id) for one in examples}) == 4
    assert [one.sha256 for one in examples[:12]] == [one.sha256 for one in shown[:12]]
    assert len({one.sha256 for one in examples}) == len(examples)
    assert all(file_world.artifacts.path_of(one.sha256).is_file() for one in examples)


def examples_of(world: World, job_id: JobId) -> list[TrialExample]:
    """In the order of trial and number."""
    with world.database.reading() as session:
        adaptation_id = session.get_one(JobRow, job_id).resource_id
        return trial_examples.of_adaptation(session, DEFAULT_TENANT, adaptation_id)[CLASS_NAME]


def trials_of(row: JobRow) -> list[dict[str, Any]]:
    """Of a search that is running, or of a finished job's result."""
    search = (row.result or {}).get("search") or row.interim or {}
    trials: list[dict[str, Any]] = search.get("trials", [])
    return trials


def ended(pid: int) -> bool:
    """Whether a process is gone within a second."""
    for _ in range(20):
        if not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text():
            return True
        time.sleep(0.05)
    return False


def test_a_pool_process_that_dies_is_replaced_and_the_job_done(compose_world: World) -> None:
    with compose_world.running("worker.maintenance"), compose_world.running("worker") as worker:
        job_id = compose_world.submit_adaptation(LONG)
        compose_world.wait(job_id, in_training)
        os.kill(child_of(worker.pid), signal.SIGKILL)
        row = compose_world.wait(job_id, is_final)
    assert (row.state, row.attempts) == (JobState.SUCCEEDED, 2)


def test_jobs_whose_messages_are_lost_are_announced_again_and_done(file_world: World) -> None:
    job_id = file_world.submit_adaptation()
    for message in (file_world.settings.broker_dir / "messages").iterdir():
        message.unlink()
    with file_world.running("worker"), file_world.running("worker.maintenance"):
        assert file_world.wait(job_id, is_final).state == JobState.SUCCEEDED


def test_a_running_job_stops_soon_after_it_is_canceled_and_a_queued_one_never_starts(compose_world: World) -> None:
    with compose_world.running("worker"):
        running = compose_world.submit_adaptation(quick(steps=10_000))
        compose_world.wait(running, in_training)
        queued = compose_world.submit_adaptation()
        compose_world.cancel(queued)
        compose_world.cancel(running)
        canceled_at = time.monotonic()
        assert compose_world.wait(running, is_final).state == JobState.CANCELED
        assert time.monotonic() - canceled_at < 5
        after = compose_world.submit_adaptation()
        assert compose_world.wait(after, is_final).state == JobState.SUCCEEDED
    assert (compose_world.job(queued).state, compose_world.job(queued).attempts) == (JobState.CANCELED, 0)


def test_a_worker_asked_to_stop_gives_its_job_back_at_once(file_world: World) -> None:
    job_id = file_world.submit_adaptation(quick(steps=10_000))
    with file_world.running("worker") as worker:
        file_world.wait(job_id, in_training)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=15) == 0
    row = file_world.job(job_id)
    assert (row.state, row.attempts, row.worker_id) == (JobState.QUEUED, 0, None)
