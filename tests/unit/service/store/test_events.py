"""What ended is announced in the transaction that ends it, on a real SQLite file and a real PostgreSQL."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import select

from service.contracts.ids import JobId, TenantId, WebhookId
from service.contracts.jobs import JobFailure, JobKind, JobState
from service.contracts.webhooks import DisabledReason, EventType, WebhookRequest
from service.store import jobs, leases, webhooks
from service.store.database import Database
from service.store.leases import LeaseLost
from service.store.sweep import sweep
from service.store.tables import JobRow, WebhookDeliveryRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
URL = "https://example.com/"


def job(database: Database, name: str, state: JobState = JobState.RUNNING, resource: str = "gen") -> JobId:
    with database.transaction() as session:
        session.add(
            JobRow(
                id=name, tenant_id="a", kind=JobKind.GENERATION, resource_id=resource, class_name="pits", params={},
                state=state, fencing_token=1, attempts=3, created_at=NOON, lease_expires_at=NOON,
            )
        )  # fmt: skip
    return JobId(name)


def webhook(database: Database, name: str, tenant: str = "a", **asked: object) -> None:
    request = WebhookRequest.model_validate({"url": URL, **asked})
    with database.transaction() as session:
        webhooks.insert(session, TenantId(tenant), WebhookId(name), request, "whsec_AAAA", NOON)


def succeed(database: Database, name: JobId) -> None:
    with database.transaction() as session:
        leases.succeed(session, name, 1, result={}, now=NOON)


def announced(database: Database, webhook_id: str = "w") -> list[str]:
    with database.reading() as session:
        row = WebhookDeliveryRow
        return sorted(session.scalars(select(row.event_type).where(row.webhook_id == webhook_id)))


def test_every_way_a_job_ends_is_announced_once_and_the_last_one_ends_its_resource(database: Database) -> None:
    webhook(database, "w")
    for name in ("succeeds", "fails", "cancels", "is_lost"):
        job(database, name)
    job(database, "waits", JobState.QUEUED)
    succeed(database, JobId("succeeds"))
    with database.transaction() as session:
        failure = JobFailure(code="c", message="m" * 5000, remedy="r")
        leases.fail(session, JobId("fails"), 1, failure=failure, now=NOON)
    with database.transaction() as session:
        leases.cancel(session, JobId("cancels"), 1, now=NOON)
    for _ in range(2):
        with database.transaction() as session:
            jobs.request_cancel(session, TenantId("a"), "waits", NOON)
    assert "generation.finished" not in announced(database)
    for _ in range(2):
        with database.transaction() as session:
            sweep(session, now=NOON + timedelta(hours=1), max_attempts=3, resend_after_seconds=1)
    assert Counter(announced(database)) == {
        "job.succeeded": 1, "job.failed": 2, "job.canceled": 2, "generation.finished": 1,
    }  # fmt: skip
    with database.reading() as session:
        sent = session.scalars(select(WebhookDeliveryRow.event)).all()
    events = {event["data"].get("job_id", event["type"]): event for event in sent}
    assert events["generation.finished"]["data"]["num_jobs"] == {"succeeded": 1, "failed": 2, "canceled": 2}
    assert events["generation.finished"]["data"]["state"] == "failed"
    assert events["fails"]["data"]["failure"] == {"code": "c", "message": "m" * 1000, "remedy": "r"}
    assert events["succeeds"]["data"]["links"] == {"job": "/v1/jobs/succeeds", "resource": "/v1/generations/gen"}
    assert events["is_lost"]["data"]["failure"]["code"] == "worker_lost"


def test_what_is_rolled_back_is_not_announced(database: Database) -> None:
    webhook(database, "w")
    name = job(database, "j")
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        leases.succeed(session, name, 1, result={}, now=NOON)
        assert session.scalars(select(WebhookDeliveryRow)).all()
        raise ZeroDivisionError
    assert announced(database) == []
    with pytest.raises(LeaseLost), database.transaction() as session:
        leases.succeed(session, name, 2, result={}, now=NOON)
    assert announced(database) == []


def test_a_job_that_is_given_back_or_asked_to_stop_has_not_ended(database: Database) -> None:
    webhook(database, "w")
    job(database, "released")
    with database.transaction() as session:
        leases.release(session, JobId("released"), 1, now=NOON)
    job(database, "asked")
    with database.transaction() as session:
        jobs.request_cancel(session, TenantId("a"), "asked", NOON)
    assert announced(database) == []


def test_webhooks_are_told_what_they_asked_for_and_nothing_of_other_tenants(database: Database) -> None:
    generation, other = f"gen_{1:032x}", f"gen_{2:032x}"
    webhook(database, "all")
    webhook(database, "finished", events=[EventType.GENERATION_FINISHED])
    webhook(database, "of_resource", resource_id=generation)
    webhook(database, "of_job", resource_id=f"job_{1:032x}")
    webhook(database, "off")
    webhook(database, "stranger", tenant="b")
    with database.transaction() as session:
        webhooks.disable(webhooks.get(session, TenantId("a"), "off"), DisabledReason.CLIENT)
    for number, resource in ((1, generation), (2, other)):
        succeed(database, job(database, f"job_{number:032x}", resource=resource))
    assert announced(database, "all") == ["generation.finished"] * 2 + ["job.succeeded"] * 2
    assert announced(database, "finished") == ["generation.finished"] * 2
    assert announced(database, "of_resource") == ["generation.finished", "job.succeeded"]
    assert announced(database, "of_job") == ["job.succeeded"]
    assert announced(database, "off") == announced(database, "stranger") == []


def test_of_jobs_that_end_at_the_same_moment_exactly_one_is_the_last(database: Database) -> None:
    webhook(database, "w")
    names = [job(database, f"j{number}") for number in range(6)]
    together = Barrier(len(names))

    def end(name: JobId) -> None:
        together.wait()
        succeed(database, name)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(end, names))
    assert Counter(announced(database)) == {"job.succeeded": 6, "generation.finished": 1}


def test_a_job_that_ends_while_anothers_end_is_not_yet_committed_waits_and_is_the_last(database: Database) -> None:
    webhook(database, "w")
    first, second = job(database, "j1"), job(database, "j2")
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            leases.succeed(session, first, 1, result={}, now=NOON)
            waiting = pool.submit(succeed, database, second)
            time.sleep(0.5)
            assert not waiting.done()
        waiting.result(timeout=20)
    assert Counter(announced(database)) == {"job.succeeded": 2, "generation.finished": 1}


def test_one_event_has_one_id_for_every_webhook(database: Database) -> None:
    webhook(database, "v", events=[EventType.JOB_SUCCEEDED])
    webhook(database, "w", events=[EventType.JOB_SUCCEEDED])
    succeed(database, job(database, "j"))
    with database.reading() as session:
        rows = session.scalars(select(WebhookDeliveryRow)).all()
    assert len({row.id for row in rows}) == 2
    assert len({row.event_id for row in rows}) == 1
