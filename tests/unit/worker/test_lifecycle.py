"""How an attempt ends, on a real SQLite file, with work that does as it is told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, undefer

from models.errors import DatasetUnusable
from service.contracts.evaluations import DatasetImages
from service.contracts.ids import DatasetId, JobId
from service.contracts.jobs import JobKind, JobState
from service.contracts.words import Word
from service.errors import StorageFull
from service.store import leases
from service.store.database import Database
from service.store.leases import ClaimedJob, LeaseLost
from service.store.tables import Base, JobRow, WorkerRow
from worker.bounds import Bounds
from worker.lifecycle import Attempt, Ending, Finished, LeaseTimes, Lifecycle, Work, utc_now

NAME = JobId("job")
RESULT: Word = DatasetImages(dataset_id=DatasetId("ds"), class_name="pits", split="train")
TIMES = LeaseTimes(lease_seconds=30, heartbeat_seconds=0.02, stall_seconds=60, progress_seconds=0)


class Filling(Database):
    """A record whose disk is full for as long as a test says so."""

    is_full = False

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        if self.is_full:
            raise StorageFull("the disk that holds the database is full")
        with super().transaction() as session:
            yield session


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Filling]:
    database = Filling(f"sqlite:///{tmp_path / 'jobs.db'}")
    Base.metadata.create_all(database.engine)
    with database.transaction() as session:
        session.add(
            JobRow(
                id=NAME, tenant_id="a", kind=JobKind.EVALUATION, resource_id="evl", class_name="pits",
                state=JobState.QUEUED, params={}, created_at=utc_now(),
            )
        )  # fmt: skip
    yield database
    database.close()


def claimed(database: Database) -> ClaimedJob:
    with database.transaction() as session:
        job = leases.claim(
            session, worker_id="w", kinds=list(JobKind), resident_adapter_id=None, now=utc_now(), lease_seconds=30
        )
    assert job is not None
    return job


def run(database: Database, work: Work, times: LeaseTimes = TIMES, stopping: bool = False) -> Ending:
    lifecycle = Lifecycle(database, times, stopping=lambda: stopping, on_stall=lambda: None)
    return lifecycle.run(claimed(database), work)


def row(database: Database) -> JobRow:
    with database.reading() as session:
        return session.get_one(JobRow, NAME, options=[undefer(JobRow.interim)])


def report_until_stopped(attempt: Attempt) -> Finished:
    progress = attempt.progress({"train": 1.0})
    for step in range(1, 2000):
        progress("train", step, 2000)
        time.sleep(0.005)
    raise AssertionError("nobody stopped it")


def publish(session: Session) -> None:
    session.add(WorkerRow(id="published", device="cpu", rss_bytes=0, seen_at=utc_now()))


def is_published(database: Database) -> bool:
    with database.reading() as session:
        return session.get(WorkerRow, "published") is not None


def test_a_finished_job_succeeds_with_its_result_and_rows(database: Database) -> None:
    assert run(database, lambda attempt: Finished(RESULT, publish)) is Ending.SUCCEEDED
    assert row(database).state == JobState.SUCCEEDED
    assert row(database).result == RESULT.model_dump(mode="json")
    assert is_published(database)


def test_an_error_of_the_models_fails_the_job_with_its_code(database: Database) -> None:
    def work(attempt: Attempt) -> Finished:
        raise DatasetUnusable("Too few images.", remedy="Add some.")

    assert run(database, work) is Ending.FAILED
    failure = row(database).failure
    assert failure is not None
    assert (failure["code"], failure["remedy"]) == ("dataset_unusable", "Add some.")


def test_rows_that_cannot_be_published_leave_no_half_of_them(database: Database) -> None:
    def half(session: Session) -> None:
        publish(session)
        raise ZeroDivisionError

    assert run(database, lambda attempt: Finished(RESULT, half)) is Ending.FAILED
    assert not is_published(database)


def test_a_wish_to_cancel_reaches_the_running_job_through_its_progress(database: Database) -> None:
    def work(attempt: Attempt) -> Finished:
        with database.transaction() as session:
            session.get_one(JobRow, NAME).cancel_requested_at = utc_now()
        return report_until_stopped(attempt)

    assert run(database, work) is Ending.CANCELED
    assert row(database).state == JobState.CANCELED


def test_a_cancellation_takes_effect_at_the_very_next_step(database: Database) -> None:
    steps = []

    def work(attempt: Attempt) -> Finished:
        progress = attempt.progress({"train": 1.0})
        for step in range(1, 10):
            progress("train", step, 10)
            steps.append(step)
            if step == 4:
                with database.transaction() as session:
                    session.get_one(JobRow, NAME).cancel_requested_at = utc_now()
        raise AssertionError("nobody stopped it")

    rare = LeaseTimes(lease_seconds=300, heartbeat_seconds=100, stall_seconds=60, progress_seconds=100, ask_seconds=0)
    assert run(database, work, rare) is Ending.CANCELED
    assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("bounds", "code", "setting"),
    [
        (Bounds(max_seconds=0.05), "time_limit", "DEFECTSYNTH_WORKER_MAX_JOB_SECONDS"),
        (Bounds(max_resident_bytes=1), "memory_limit", "DEFECTSYNTH_WORKER_MAX_RESIDENT_BYTES"),
    ],
)
def test_a_job_that_takes_more_than_it_may_fails_and_names_the_setting(
    database: Database, bounds: Bounds, code: str, setting: str
) -> None:
    lifecycle = Lifecycle(database, TIMES, stopping=lambda: False, on_stall=lambda: None, bounds=bounds)
    assert lifecycle.run(claimed(database), report_until_stopped) is Ending.FAILED
    failure = row(database).failure
    assert failure is not None
    assert failure["code"] == code and setting in failure["remedy"]


def test_a_worker_that_is_to_stop_gives_the_job_back(database: Database) -> None:
    assert run(database, report_until_stopped, stopping=True) is Ending.RELEASED
    found = row(database)
    assert (found.state, found.attempts, found.lease_expires_at) == (JobState.QUEUED, 0, None)


def test_a_zombie_finishes_without_a_trace(database: Database) -> None:
    def taken_over_meanwhile(attempt: Attempt) -> Finished:
        with database.transaction() as session:
            leases.release(session, NAME, attempt.job.fencing_token, now=utc_now())
        heir = claimed(database)
        assert heir.fencing_token == attempt.job.fencing_token + 1
        return Finished(RESULT, publish)

    assert run(database, taken_over_meanwhile) is Ending.FORFEITED
    assert (row(database).state, row(database).result) == (JobState.RUNNING, None)
    assert not is_published(database)


def test_a_job_whose_lease_was_lost_is_stopped(database: Database) -> None:
    def work(attempt: Attempt) -> Finished:
        with database.transaction() as session:
            leases.release(session, NAME, attempt.job.fencing_token, now=utc_now())
        return report_until_stopped(attempt)

    assert run(database, work) is Ending.FORFEITED
    assert row(database).state == JobState.QUEUED


def test_the_heartbeat_renews_the_lease_while_the_job_works(database: Database) -> None:
    def work(attempt: Attempt) -> Finished:
        before = row(database).lease_expires_at
        time.sleep(0.2)
        after = row(database).lease_expires_at
        assert before is not None and after is not None and after > before
        return Finished(RESULT)

    assert run(database, work) is Ending.SUCCEEDED


def test_a_job_that_stands_still_is_reported_once_and_no_longer_renewed(database: Database) -> None:
    stalled, calls = threading.Event(), list[None]()

    def on_stall() -> None:
        calls.append(None)
        stalled.set()

    def work(attempt: Attempt) -> Finished:
        assert stalled.wait(5)
        expires_at = row(database).lease_expires_at
        time.sleep(0.1)
        assert row(database).lease_expires_at == expires_at
        return Finished(RESULT)

    times = LeaseTimes(lease_seconds=30, heartbeat_seconds=0.02, stall_seconds=0.05)
    Lifecycle(database, times, stopping=lambda: False, on_stall=on_stall).run(claimed(database), work)
    assert len(calls) == 1


def test_a_record_out_of_reach_leaves_the_job_to_its_lease(database: Database) -> None:
    def unreachable(session: Session) -> None:
        raise OperationalError("INSERT", {}, Exception("connection lost"))

    assert run(database, lambda attempt: Finished(RESULT, unreachable)) is Ending.FORFEITED
    assert row(database).state == JobState.RUNNING


def test_a_finished_job_is_done_to_the_last_step_whatever_it_reported_last(database: Database) -> None:
    def work(attempt: Attempt) -> Finished:
        attempt.progress({"quality": 1.0})("quality", 7, 12)
        return Finished(RESULT)

    run(database, work)
    progress = row(database).progress
    assert progress is not None
    assert (progress["step"], progress["total"], progress["fraction"], progress["seconds_left"]) == (12, 12, 1.0, 0.0)


def test_a_disk_that_is_full_for_a_while_ends_neither_the_job_nor_its_heartbeat(database: Filling) -> None:
    def work(attempt: Attempt) -> Finished:
        database.is_full = True
        attempt.progress({"train": 1.0})("train", 1, 2)
        time.sleep(0.1)
        database.is_full = False
        before = row(database).lease_expires_at
        time.sleep(0.1)
        after = row(database).lease_expires_at
        assert before is not None and after is not None and after > before
        return Finished(RESULT)

    assert run(database, work) is Ending.SUCCEEDED


def test_an_ending_that_finds_no_room_leaves_the_job_to_its_lease(database: Filling) -> None:
    def work(attempt: Attempt) -> Finished:
        database.is_full = True
        raise StorageFull("the disk that holds the artefacts is full")

    assert run(database, work) is Ending.FORFEITED
    assert row(database).state == JobState.RUNNING


@pytest.mark.parametrize("held", [True, False], ids=["held", "lost"])
def test_rows_that_belong_to_results_so_far_are_written_with_them_and_only_while_the_lease_is_held(
    database: Filling, held: bool
) -> None:
    attempt = Attempt(database, claimed(database), TIMES, stopping=lambda: False)
    if not held:
        with database.transaction() as session:
            session.get_one(JobRow, NAME).fencing_token += 1
    with nullcontext() if held else pytest.raises(LeaseLost):
        attempt.keep(RESULT, publish)
    assert is_published(database) is (row(database).interim is not None) is held
