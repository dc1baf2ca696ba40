"""Who works on which job: claims, leases and fencing, each one compare-and-set UPDATE.

::

    queued --claim--> running --succeed--> succeeded
      ^                 |  |---fail------> failed
      |---release-------|  |---cancel----> canceled
      |---sweep (the lease ran out)        (or failed with ``worker_lost`` after too many attempts)

``fencing_token`` grows with every claim. Whatever a worker writes names the token it was given, so one that was
believed dead and comes back changes nothing: its UPDATE finds no row, and it gets `LeaseLost`. All of it is plain SQL
that SQLite and PostgreSQL understand alike; a transaction belongs to the caller.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, func, select, update
from sqlalchemy.orm import Session

from service.contracts.adaptations import CurvePoint
from service.contracts.ids import AdapterId, JobId, TenantId
from service.contracts.jobs import JobFailure, JobKind, JobState, Progress
from service.store import usage
from service.store.company import Beside
from service.store.events import record_ended
from service.store.tables import JobRow, Json
from service.store.usage import Usage

#: How often a claim tries again when another worker was faster.
CLAIM_TRIES = 20
#: A job that suits what the worker holds may go before one of the same tenant that is at most so much older.
PATIENCE_SECONDS = 60.0


class LeaseLost(Exception):
    """The job belongs to another worker now, or is final: nothing of this attempt may be written."""

    def __init__(self, job_id: JobId, fencing_token: int) -> None:
        super().__init__(f"{job_id} is no longer held under token {fencing_token}")


class LeaseState(StrEnum):
    """What a renewal finds."""

    HELD = "held"
    CANCEL_REQUESTED = "cancel_requested"
    LOST = "lost"


@dataclass(frozen=True)
class ClaimedJob:
    """One attempt at one job; ``attempts`` counts from 1."""

    id: JobId
    tenant_id: TenantId
    kind: JobKind
    resource_id: str
    class_name: str
    params: Json
    interim: Json | None
    losses: list[Json] | None
    adapter_id: AdapterId | None
    fencing_token: int
    attempts: int
    created_at: datetime
    request_id: str | None


def claim(
    session: Session,
    *,
    worker_id: str,
    kinds: Collection[JobKind],
    resident_adapter_id: AdapterId | None,
    now: datetime,
    lease_seconds: float,
    beside: Beside | None = None,
) -> ClaimedJob | None:
    """Take the best runnable job, or None when there is none; where it is not what suits ``beside``, None too.

    Order: the tenant with the fewest running jobs, and of those the one served longest ago; then its own priorities,
    so that nobody gets ahead of others by them; then what suits the resident adapter, where it is at most
    `PATIENCE_SECONDS` younger than the oldest, so that nothing waits for ever; then age.
    """
    for _ in range(CLAIM_TRIES):
        row = _best_runnable(session, kinds, resident_adapter_id)
        if row is None or (beside is not None and not beside.suits(session, row)):
            return None
        changes = {
            "state": JobState.RUNNING,
            "worker_id": worker_id,
            "fencing_token": row.fencing_token + 1,
            "attempts": row.attempts + 1,
            "lease_expires_at": now + timedelta(seconds=lease_seconds),
            "started_at": now,
            "progress": None,
        }
        queued = [JobRow.state == JobState.QUEUED, JobRow.fencing_token == row.fencing_token]
        if _change(session, row.id, queued, changes):
            return _claimed(row, fencing_token=row.fencing_token + 1, attempts=row.attempts + 1)
    return None


def _best_runnable(session: Session, kinds: Collection[JobKind], resident: AdapterId | None) -> JobRow | None:
    runnable = [
        JobRow.state == JobState.QUEUED,
        JobRow.cancel_requested_at.is_(None),
        JobRow.kind.in_(sorted(kinds)),
    ]
    tenants = session.scalars(select(JobRow.tenant_id).where(*runnable).distinct()).all()
    if not tenants:
        return None
    runnable.append(JobRow.tenant_id == (tenants[0] if len(tenants) == 1 else _least_served(session, tenants)))
    by_age = select(JobRow).where(*runnable).order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.id)
    fresh = {"populate_existing": True}
    oldest = session.scalars(by_age.limit(1).execution_options(**fresh)).first()
    if oldest is None or resident is None or oldest.adapter_id == resident:
        return oldest
    suitable = by_age.where(
        JobRow.adapter_id == resident,
        JobRow.priority == oldest.priority,
        JobRow.created_at <= oldest.created_at + timedelta(seconds=PATIENCE_SECONDS),
    )
    return session.scalars(suitable.limit(1).execution_options(**fresh)).first() or oldest


def _least_served(session: Session, tenants: Collection[str]) -> str:
    """Looks at running jobs and at one index entry a tenant: what was done long ago costs nothing."""
    running = select(JobRow.tenant_id, func.count()).where(JobRow.state == JobState.RUNNING)
    found = session.execute(running.group_by(JobRow.tenant_id))
    num_running: dict[str, int] = {str(tenant): number for tenant, number in found}
    fewest = min(num_running.get(tenant, 0) for tenant in tenants)
    return min(
        (tenant for tenant in sorted(tenants) if num_running.get(tenant, 0) == fewest),
        key=lambda tenant: _last_served(session, tenant),
    )


def _last_served(session: Session, tenant: str) -> str:
    """As text that sorts like the moment; empty where the tenant never was served."""
    started_at = session.scalar(select(func.max(JobRow.started_at)).where(JobRow.tenant_id == tenant))
    return started_at.isoformat() if started_at is not None else ""


def _claimed(row: JobRow, *, fencing_token: int, attempts: int) -> ClaimedJob:
    return ClaimedJob(
        id=JobId(row.id),
        tenant_id=TenantId(row.tenant_id),
        kind=JobKind(row.kind),
        resource_id=row.resource_id,
        class_name=row.class_name,
        params=row.params,
        interim=row.interim,
        losses=row.losses,
        adapter_id=AdapterId(row.adapter_id) if row.adapter_id else None,
        fencing_token=fencing_token,
        attempts=attempts,
        created_at=row.created_at,
        request_id=row.request_id,
    )


def renew(session: Session, job_id: JobId, fencing_token: int, *, now: datetime, lease_seconds: float) -> LeaseState:
    """Hold the job for ``lease_seconds`` from ``now``, and learn whether a client wants it canceled."""
    until = now + timedelta(seconds=lease_seconds)
    if not _change(session, job_id, _held(fencing_token), {"lease_expires_at": until}, visible=False):
        return LeaseState.LOST
    return _cancel_state(session, job_id)


def state(session: Session, job_id: JobId, fencing_token: int) -> LeaseState:
    """What `renew` tells, without renewing."""
    query = select(JobRow.cancel_requested_at).where(JobRow.id == job_id, *_held(fencing_token))
    held = session.execute(query).first()
    if held is None:
        return LeaseState.LOST
    return LeaseState.HELD if held[0] is None else LeaseState.CANCEL_REQUESTED


def record_progress(
    session: Session, job_id: JobId, fencing_token: int, progress: Progress, losses: Sequence[CurvePoint] | None = None
) -> LeaseState:
    """Show clients where the job is, and its loss curve where it is given; tells what `renew` tells, does not renew."""
    changes: dict[str, Any] = {"progress": progress.model_dump(mode="json")}
    if losses is not None:
        changes["losses"] = [point.model_dump(mode="json") for point in losses]
    if not _change(session, job_id, _held(fencing_token), changes):
        return LeaseState.LOST
    return _cancel_state(session, job_id)


def record_interim(session: Session, job_id: JobId, fencing_token: int, interim: Json) -> LeaseState:
    """Keep results so far in the job's record, for clients and for a worker that goes on; tells what `renew` tells."""
    if not _change(session, job_id, _held(fencing_token), {"interim": interim}):
        return LeaseState.LOST
    return _cancel_state(session, job_id)


def hold(session: Session, job_id: JobId, fencing_token: int) -> None:
    """Lock the job's row until the transaction ends; raises `LeaseLost` where it is not held.

    Call it first in a transaction that publishes what a job made, so that all of it or none is written.
    """
    # An UPDATE that changes nothing locks on PostgreSQL (the row) and on SQLite (the file) alike.
    if not _change(session, job_id, _held(fencing_token), {"fencing_token": fencing_token}, visible=False):
        raise LeaseLost(job_id, fencing_token)


def succeed(
    session: Session, job_id: JobId, fencing_token: int, *, result: Json, now: datetime, taken: float | None = None
) -> None:
    """Final: succeeded with ``result`` (a result contract as JSON); its progress is complete. Raises `LeaseLost`.

    ``taken``, here and below: seconds of a device; where it is not given, all since the claim.
    """
    changes: dict[str, Any] = {"result": result, "failure": None, "interim": None, "losses": None}
    reported = session.scalar(select(JobRow.progress).where(JobRow.id == job_id))
    if reported is not None:  # Not every report is written, and a bar that stays at 94 % looks like a job that hangs.
        changes["progress"] = {**reported, "step": reported["total"], "fraction": 1.0, "seconds_left": 0.0}
    _finish(session, job_id, fencing_token, JobState.SUCCEEDED, now, changes, taken)


def fail(
    session: Session, job_id: JobId, fencing_token: int, *, failure: JobFailure, now: datetime,
    taken: float | None = None,
) -> None:  # fmt: skip
    """Final: failed. Raises `LeaseLost`."""
    _finish(session, job_id, fencing_token, JobState.FAILED, now, {"failure": failure.model_dump(mode="json")}, taken)


def cancel(session: Session, job_id: JobId, fencing_token: int, *, now: datetime, taken: float | None = None) -> None:
    """Final: canceled. Raises `LeaseLost`."""
    _finish(session, job_id, fencing_token, JobState.CANCELED, now, {"interim": None}, taken)


def release(session: Session, job_id: JobId, fencing_token: int, *, now: datetime, taken: float | None = None) -> None:
    """Give a job back that this worker must leave (it is asked to stop); the attempt is not counted.

    Raises `LeaseLost`. The row is due to be sent again at once.
    """
    _end_attempt(session, job_id, fencing_token, now, {**_BACK_IN_QUEUE, "attempts": JobRow.attempts - 1}, taken)


def _finish(
    session: Session, job_id: JobId, fencing_token: int, state: JobState, now: datetime, changes: dict[str, Any],
    taken: float | None,
) -> None:  # fmt: skip
    final = {**changes, "state": state, "finished_at": now, "lease_expires_at": None}
    _end_attempt(session, job_id, fencing_token, now, final, taken)
    record_ended(session, [job_id], now)


def _end_attempt(
    session: Session, job_id: JobId, fencing_token: int, now: datetime, changes: dict[str, Any], taken: float | None
) -> None:
    """Change the row, and count what the attempt took of a device: to the job and to its tenant."""
    query = select(JobRow.tenant_id, JobRow.started_at).where(JobRow.id == job_id, *_held(fencing_token))
    held = session.execute(query).one_or_none()
    if held is None:
        raise LeaseLost(job_id, fencing_token)
    taken = seconds_since(held.started_at, now) if taken is None else taken
    changes = {**changes, "device_seconds": JobRow.device_seconds + taken}
    if not _change(session, job_id, _held(fencing_token), changes):
        raise LeaseLost(job_id, fencing_token)
    usage.add(session, held.tenant_id, Usage.DEVICE_SECONDS, taken, now)


def seconds_since(started_at: datetime | None, now: datetime) -> float:
    """What an attempt that ends took of a device; nothing where clocks disagree."""
    return max(0.0, (now - started_at).total_seconds()) if started_at is not None else 0.0


_BACK_IN_QUEUE: dict[str, Any] = {
    "state": JobState.QUEUED,
    "worker_id": None,
    "lease_expires_at": None,
    "wakeup_at": None,
    "progress": None,
}


def _held(fencing_token: int) -> list[ColumnElement[bool]]:
    return [JobRow.state == JobState.RUNNING, JobRow.fencing_token == fencing_token]


def _change(
    session: Session,
    job_id: str,
    expected: list[ColumnElement[bool]],
    changes: dict[str, Any],
    *,
    visible: bool = True,
) -> bool:
    """The one UPDATE of this module: whether the row was as expected, and so was changed."""
    values = {**changes, "revision": JobRow.revision + 1} if visible else changes
    statement = update(JobRow).where(JobRow.id == job_id, *expected).values(values)
    result = session.execute(statement.execution_options(synchronize_session=False))
    return cast("CursorResult[Any]", result).rowcount == 1


def _cancel_state(session: Session, job_id: JobId) -> LeaseState:
    requested_at = session.scalar(select(JobRow.cancel_requested_at).where(JobRow.id == job_id))
    return LeaseState.HELD if requested_at is None else LeaseState.CANCEL_REQUESTED
