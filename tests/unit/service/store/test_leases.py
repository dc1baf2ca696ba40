"""Claims, leases and fencing, on a real SQLite file and a real PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session, undefer

from service.contracts.ids import AdapterId, JobId, TenantId
from service.contracts.jobs import JobFailure, JobKind, JobState, Progress
from service.store import leases, usage
from service.store.database import Database
from service.store.leases import ClaimedJob, LeaseLost, LeaseState
from service.store.sweep import sweep
from service.store.tables import JobRow
from service.store.usage import Usage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FAILURE = JobFailure(code="c", message="m", remedy="r")


def queue(database: Database, name: str, **columns: Any) -> JobId:
    values = {
        "id": name, "tenant_id": "a", "kind": JobKind.GENERATION, "resource_id": "gen", "class_name": "pits",
        "state": JobState.QUEUED, "params": {}, "created_at": NOON, **columns,
    }  # fmt: skip
    with database.transaction() as session:
        session.add(JobRow(**values))
    return JobId(name)


def claim(database: Database, *, at: datetime = NOON, resident: str | None = None) -> ClaimedJob | None:
    with database.transaction() as session:
        return leases.claim(
            session,
            worker_id="w",
            kinds=list(JobKind),
            resident_adapter_id=AdapterId(resident) if resident else None,
            now=at,
            lease_seconds=30,
        )


def claimed(database: Database, **options: Any) -> ClaimedJob:
    job = claim(database, **options)
    assert job is not None
    return job


def row(database: Database, name: str) -> JobRow:
    with database.reading() as session:
        return session.get_one(JobRow, name, options=[undefer(JobRow.interim), undefer(JobRow.losses)])


def test_a_claim_takes_priority_then_the_resident_adapter_then_age(database: Database) -> None:
    queue(database, "old")
    queue(database, "older", created_at=NOON - timedelta(seconds=30))
    queue(database, "resident", adapter_id="adp", created_at=NOON + timedelta(seconds=20))
    queue(database, "urgent", priority=1, created_at=NOON + timedelta(hours=2))
    order = [claimed(database, resident="adp").id for _ in range(4)]
    assert order == ["urgent", "resident", "older", "old"]
    assert claim(database) is None


def test_a_stream_of_jobs_that_suit_the_resident_adapter_holds_no_other_up_for_long(database: Database) -> None:
    queue(database, "other", adapter_id="adp_other")
    for number in range(8):
        queue(database, f"suits{number}", adapter_id="adp", created_at=NOON + timedelta(seconds=20 * number))
    order = [claimed(database, resident="adp").id for _ in range(6)]
    assert order == ["suits0", "suits1", "suits2", "suits3", "other", "suits4"]


def test_a_tenant_s_own_priorities_put_it_before_nobody_else(database: Database) -> None:
    for number in range(3):
        queue(database, f"a{number}", tenant_id="a", priority=9)
    queue(database, "b0", tenant_id="b")
    order = [claimed(database, at=NOON + timedelta(seconds=number)).id for number in range(4)]
    assert order == ["a0", "b0", "a1", "a2"]


def test_tenants_take_turns_however_many_jobs_one_of_them_queues(database: Database) -> None:
    for number in range(3):
        queue(database, f"a{number}", tenant_id="a", created_at=NOON - timedelta(hours=1))
    queue(database, "b0", tenant_id="b")
    queue(database, "b1", tenant_id="b")
    order = [claimed(database, at=NOON + timedelta(seconds=number)).tenant_id for number in range(5)]
    assert order == ["a", "b", "a", "b", "a"]


def test_many_workers_at_once_claim_every_job_exactly_once(database: Database) -> None:
    names = {queue(database, f"job{number}") for number in range(24)}
    with ThreadPoolExecutor(8) as pool:
        taken = [job.id for job in pool.map(lambda _: claim(database), range(32)) if job is not None]
    assert sorted(taken) == sorted(names)


def test_a_zombie_whose_job_was_taken_over_can_write_nothing(database: Database) -> None:
    name = queue(database, "job")
    zombie = claimed(database)
    late = NOON + timedelta(seconds=31)
    with database.transaction() as session:
        assert sweep(session, now=late, max_attempts=3, resend_after_seconds=60).requeued == [name]
    heir = claimed(database, at=late)
    assert (heir.fencing_token, heir.attempts) == (2, 2)
    writes = [
        lambda session, token: leases.hold(session, name, token),
        lambda session, token: leases.succeed(session, name, token, result={}, now=late),
        lambda session, token: leases.fail(session, name, token, failure=FAILURE, now=late),
        lambda session, token: leases.cancel(session, name, token, now=late),
        lambda session, token: leases.release(session, name, token, now=late),
    ]
    for write in writes:
        with pytest.raises(LeaseLost), database.transaction() as session:
            write(session, zombie.fencing_token)
    with database.transaction() as session:
        progress = Progress(stage="s", step=1, total=2, fraction=0.5)
        assert leases.record_progress(session, name, zombie.fencing_token, progress) is LeaseState.LOST
        assert leases.record_interim(session, name, zombie.fencing_token, {"trials": "zombie's"}) is LeaseState.LOST
        assert leases.renew(session, name, zombie.fencing_token, now=late, lease_seconds=30) is LeaseState.LOST
        assert leases.state(session, name, zombie.fencing_token) is LeaseState.LOST
    assert (row(database, name).interim, row(database, name).progress) == (None, None)
    with database.transaction() as session:
        leases.hold(session, name, heir.fencing_token)
        leases.succeed(session, name, heir.fencing_token, result={"by": "heir"}, now=late)
    assert row(database, name).state == JobState.SUCCEEDED
    assert row(database, name).result == {"by": "heir"}


def test_a_final_job_never_changes_again(database: Database) -> None:
    name = queue(database, "job")
    job = claimed(database)
    with database.transaction() as session:
        leases.fail(session, name, job.fencing_token, failure=FAILURE, now=NOON)
    with pytest.raises(LeaseLost), database.transaction() as session:
        leases.succeed(session, name, job.fencing_token, result={}, now=NOON)
    with database.transaction() as session:
        sweep(session, now=NOON + timedelta(days=1), max_attempts=1, resend_after_seconds=0)
    assert row(database, name).state == JobState.FAILED
    assert row(database, name).failure == FAILURE.model_dump(mode="json")


def test_what_a_publishing_transaction_wrote_is_gone_when_the_lease_was_lost(database: Database) -> None:
    name = queue(database, "job")
    job = claimed(database)
    with database.transaction() as session:
        leases.release(session, name, job.fencing_token, now=NOON)
    with pytest.raises(LeaseLost), database.transaction() as session:
        session.add(JobRow(**{**columns(row(database, name)), "id": "published"}))
        session.flush()
        leases.succeed(session, name, job.fencing_token, result={}, now=NOON)
    with database.reading() as session:
        assert session.get(JobRow, "published") is None


def columns(found: JobRow) -> dict[str, Any]:
    return {column.key: getattr(found, column.key) for column in JobRow.__mapper__.column_attrs}


def test_a_released_job_has_its_attempt_back_and_is_due_to_be_sent(database: Database) -> None:
    name = queue(database, "job", wakeup_at=NOON)
    job = claimed(database)
    with database.transaction() as session:
        leases.release(session, name, job.fencing_token, now=NOON)
    found = row(database, name)
    assert (found.state, found.attempts, found.wakeup_at, found.fencing_token) == (JobState.QUEUED, 0, None, 1)


ENDINGS: dict[str, Callable[[Session, int, datetime], object]] = {
    "succeed": lambda session, token, at: leases.succeed(session, JobId("job"), token, result={}, now=at),
    "fail": lambda session, token, at: leases.fail(session, JobId("job"), token, failure=FAILURE, now=at),
    "cancel": lambda session, token, at: leases.cancel(session, JobId("job"), token, now=at),
    "release": lambda session, token, at: leases.release(session, JobId("job"), token, now=at),
    "sweep": lambda session, token, at: sweep(session, now=at, max_attempts=9, resend_after_seconds=60),
    "give up": lambda session, token, at: sweep(session, now=at, max_attempts=1, resend_after_seconds=60),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_however_an_attempt_ends_what_it_took_is_counted_for_job_and_tenant(database: Database, ending: str) -> None:
    name = queue(database, "job", device_seconds=100.0)
    job = claimed(database)
    ended_at = NOON + timedelta(seconds=40.5)
    with database.transaction() as session:
        usage.add(session, job.tenant_id, Usage.DEVICE_SECONDS, 100.0, NOON)
        ENDINGS[ending](session, job.fencing_token, ended_at)
    with database.reading() as session:
        taken = usage.of_tenant(session, job.tenant_id, Usage.DEVICE_SECONDS, ended_at)
    assert (row(database, name).device_seconds, taken.amount) == (140.5, 140.5)


def test_a_zombie_s_time_is_counted_once_and_by_the_sweep(database: Database) -> None:
    name = queue(database, "job")
    zombie = claimed(database)
    late = NOON + timedelta(seconds=60)
    with database.transaction() as session:
        sweep(session, now=late, max_attempts=1, resend_after_seconds=60)
    with pytest.raises(LeaseLost), database.transaction() as session:
        leases.succeed(session, name, zombie.fencing_token, result={}, now=late + timedelta(seconds=60))
    with database.reading() as session:
        assert usage.of_tenant(session, TenantId("a"), Usage.DEVICE_SECONDS, late).amount == 60


def test_a_renewal_keeps_the_sweep_away_and_tells_of_a_wish_to_cancel(database: Database) -> None:
    name = queue(database, "job")
    job = claimed(database)
    later = NOON + timedelta(seconds=29)
    with database.transaction() as session:
        assert leases.renew(session, name, job.fencing_token, now=later, lease_seconds=30) is LeaseState.HELD
        session.get_one(JobRow, name).cancel_requested_at = later
    with database.transaction() as session:
        swept = sweep(session, now=later + timedelta(seconds=10), max_attempts=3, resend_after_seconds=60)
        assert not swept.requeued
        state = leases.renew(session, name, job.fencing_token, now=later, lease_seconds=30)
        assert state is LeaseState.CANCEL_REQUESTED
    with database.transaction() as session:
        assert sweep(session, now=later + timedelta(hours=1), max_attempts=3, resend_after_seconds=60).canceled == [
            name
        ]
    assert row(database, name).state == JobState.CANCELED


def test_a_job_that_kills_every_worker_fails_as_worker_lost(database: Database) -> None:
    name = queue(database, "job")
    at = NOON
    for _ in range(2):
        claimed(database, at=at)
        at += timedelta(seconds=31)
        with database.transaction() as session:
            swept = sweep(session, now=at, max_attempts=2, resend_after_seconds=60)
    assert swept.failed == [name]
    found = row(database, name)
    assert found.state == JobState.FAILED
    assert found.failure is not None
    assert (found.failure["code"], found.failure["retryable"]) == ("worker_lost", True)
    assert found.finished_at == at
    assert claim(database, at=at) is None


def test_the_sweep_lists_rows_never_announced_and_those_announced_long_ago(database: Database) -> None:
    queue(database, "never")
    queue(database, "stale", wakeup_at=NOON - timedelta(seconds=61))
    queue(database, "fresh", wakeup_at=NOON - timedelta(seconds=5))
    with database.transaction() as session:
        first = sweep(session, now=NOON, max_attempts=3, resend_after_seconds=60)
        second = sweep(session, now=NOON, max_attempts=3, resend_after_seconds=60)
    assert sorted(first.unsent) == [("never", JobKind.GENERATION), ("stale", JobKind.GENERATION)]
    assert second.unsent == []


def test_every_change_a_client_can_see_makes_a_new_revision_and_a_renewal_does_not(database: Database) -> None:
    name = queue(database, "job")
    job = claimed(database)
    seen = [row(database, name).revision]
    with database.transaction() as session:
        leases.renew(session, name, job.fencing_token, now=NOON, lease_seconds=30)
    seen.append(row(database, name).revision)
    with database.transaction() as session:
        progress = Progress(stage="s", step=1, total=2, fraction=0.5)
        assert leases.record_progress(session, name, job.fencing_token, progress) is LeaseState.HELD
    seen.append(row(database, name).revision)
    with database.transaction() as session:
        leases.cancel(session, name, job.fencing_token, now=NOON)
    seen.append(row(database, name).revision)
    assert seen == [1, 1, 2, 3]


def test_a_wake_up_that_a_jumped_clock_dated_ahead_is_sent_again_once(database: Database) -> None:
    queue(database, "job", wakeup_at=NOON + timedelta(hours=2))
    with database.transaction() as session:
        first = sweep(session, now=NOON, max_attempts=3, resend_after_seconds=60)
        second = sweep(session, now=NOON, max_attempts=3, resend_after_seconds=60)
    assert (first.unsent, second.unsent) == ([("job", JobKind.GENERATION)], [])
