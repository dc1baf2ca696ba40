"""What is found wrong, in a record that a test writes, and that nothing that hangs holds up the answer."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import queue
from service.contracts.jobs import JobKind, JobState
from service.readiness import LIMIT_SECONDS, Finding, Readiness
from service.settings import Settings
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from service.store.sweep import LAST_SWEEP
from service.store.tables import JobRow, SweepRow, WorkerRow

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
JUST_NOW = NOW - timedelta(seconds=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    with database.transaction() as session:
        session.add(SweepRow(id=LAST_SWEEP, swept_at=JUST_NOW))
    yield database
    database.close()


@pytest.fixture
def findings(settings: Settings, database: Database) -> Callable[[], dict[str, Finding]]:
    artifacts = LocalArtifacts(settings.artifacts_dir)
    return Readiness(database, artifacts, queue.configure(settings).check, settings, lambda: NOW).findings


def add(database: Database, *rows: JobRow | WorkerRow) -> None:
    with database.transaction() as session:
        session.add_all(rows)


def worker(name: str, *, job_id: str | None = None, looked_at: datetime | None = None) -> WorkerRow:
    return WorkerRow(id=name, device="cpu", job_id=job_id, rss_bytes=1, seen_at=JUST_NOW, looked_at=looked_at)


def job(state: JobState, created_at: datetime, lease_expires_at: datetime | None = None) -> JobRow:
    return JobRow(
        id=f"job_{state}", tenant_id="a", kind=JobKind.EVALUATION, resource_id="evl", class_name="pits", state=state,
        params={}, created_at=created_at, lease_expires_at=lease_expires_at,
    )  # fmt: skip


def test_without_a_worker_all_else_is_well(findings: Callable[[], dict[str, Finding]]) -> None:
    told = {name: finding.told for name, finding in findings().items()}
    others = dict.fromkeys(("database", "files", "broker", "maintenance"), "ok")
    assert told == {**others, "worker": "none seen lately"}


@pytest.mark.parametrize(
    ("created_at", "others", "told"),
    [
        (LONG_AGO, [worker("deaf")], "idle while jobs wait"),
        (LONG_AGO, [worker("deaf", looked_at=LONG_AGO)], "idle while jobs wait"),
        (LONG_AGO, [worker("deaf"), worker("busy", job_id="job_1")], "idle while jobs wait"),
        (LONG_AGO, [worker("busy", job_id="job_1", looked_at=LONG_AGO)], "ok"),
        (LONG_AGO, [worker("awake", looked_at=JUST_NOW)], "ok"),
        (JUST_NOW, [worker("idle", looked_at=LONG_AGO)], "ok"),
    ],
    ids=["never looked", "looked long ago", "beside a busy one", "all busy", "looks for work", "nothing waits long"],
)
def test_a_worker_that_lives_and_takes_nothing_is_found(
    database: Database, findings: Callable[[], dict[str, Finding]], created_at: datetime, others: list[WorkerRow],
    told: str,
) -> None:  # fmt: skip
    with database.transaction() as session:
        session.add(job(JobState.QUEUED, created_at))
        for one in others:
            session.merge(one)
    found = findings()["worker"]
    assert found.told == told
    assert (found.remedy is None) == (told == "ok")


def test_a_lost_workers_job_that_nobody_gives_back_is_maintenances(
    database: Database, findings: Callable[[], dict[str, Finding]]
) -> None:
    add(database, job(JobState.RUNNING, LONG_AGO, lease_expires_at=NOW - timedelta(seconds=10)))
    assert findings()["maintenance"].told == "ok"
    with database.transaction() as session:
        session.get_one(JobRow, "job_running").lease_expires_at = LONG_AGO
    assert findings()["maintenance"].told == "leases overdue"


def test_maintenance_that_sweeps_no_more_is_missed_although_no_lease_ran_out(
    database: Database, findings: Callable[[], dict[str, Finding]]
) -> None:
    with database.transaction() as session:
        session.get_one(SweepRow, LAST_SWEEP).swept_at = LONG_AGO
    assert findings()["maintenance"].told == "none seen lately"
    assert findings()["maintenance"].remedy


def test_a_folder_that_takes_no_message_is_a_broker_that_is_out(
    settings: Settings, findings: Callable[[], dict[str, Finding]]
) -> None:
    settings.broker_dir.write_text("a file in the folder's place")
    assert findings()["broker"].told == "failed"
    settings.broker_dir.unlink()
    assert findings()["broker"].told == "ok"
    assert not list((settings.broker_dir / "messages").iterdir())


def test_pages_that_ask_all_the_time_share_an_answer_for_a_few_seconds(settings: Settings, database: Database) -> None:
    now, asked = [100.0], list[float]()
    readiness = Readiness(
        database, LocalArtifacts(settings.artifacts_dir), lambda: asked.append(now[0]), settings, lambda: NOW,
        lambda: now[0],
    )  # fmt: skip
    for seconds in (0.0, 1.0, 2.0, 3.5, 4.0):
        now[0] = 100.0 + seconds
        assert readiness.lately().keys() == {"database", "files", "broker", "worker", "maintenance"}
    assert asked == [100.0, 103.5]


def test_a_broker_that_hangs_costs_a_second_and_one_thread_however_often_it_is_asked(
    settings: Settings, database: Database
) -> None:
    released = threading.Event()
    readiness = Readiness(
        database, LocalArtifacts(settings.artifacts_dir), lambda: void(released.wait(30)), settings, lambda: NOW
    )
    started, threads = time.monotonic(), set[int]()
    for _ in range(2):
        found = readiness.findings()
        threads.add(threading.active_count())
        assert (found["broker"].told, found["database"].told) == ("failed", "ok")
    assert time.monotonic() - started < 2 * LIMIT_SECONDS + 1
    assert len(threads) == 1
    released.set()


def void(waited: bool) -> None:
    assert waited
