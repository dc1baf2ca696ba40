"""What a periodic look at the jobs finds: leases that ran out, and queued rows that no message announces."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.orm import Session

from service.contracts.ids import JobId
from service.contracts.jobs import JobFailure, JobKind, JobState
from service.store import usage
from service.store.events import record_ended
from service.store.lease_watch import Overdue, overdue_at
from service.store.leases import seconds_since
from service.store.tables import JobRow
from service.store.usage import Usage

#: Rows that were never announced (or were just given back) are all announced; of those that wait behind busy workers
#: only a few at a time, for a worker that wakes goes on claiming, and messages must not pile up.
UNSENT_AT_ONCE = 100
RESENT_AT_ONCE = 2
#: The one row that tells when maintenance last swept.
LAST_SWEEP = "last"
#: Nothing is kept of a canceled job.
_CANCELED: dict[str, Any] = {"state": JobState.CANCELED, "interim": None}


@dataclass(frozen=True)
class SweepOutcome:
    """What was changed, and which rows to send a wake-up for once the transaction is committed."""

    requeued: list[JobId]
    failed: list[JobId]
    canceled: list[JobId]
    unsent: list[tuple[JobId, JobKind]]


def sweep(
    session: Session, *, now: datetime, max_attempts: int, resend_after_seconds: float, overdue: Overdue | None = None
) -> SweepOutcome:
    """Return what dead workers held to the queue and list what must be sent again.

    ``overdue`` tells whose worker is dead; without it the clock does, which must be that of all workers.

    A job whose worker was lost ``max_attempts`` times fails with ``worker_lost``; one that was to be canceled is
    canceled. Listed rows count as sent ``now``, so two sweeps at once do not both list them for long.
    """
    outcome, taken = SweepOutcome([], [], [], []), defaultdict[str, float](float)
    running = select(JobRow).where(JobRow.state == JobState.RUNNING)
    # In one order, so that two sweeps at once wait for each other's rows and never deadlock.
    for row in (overdue or overdue_at(now))(session.scalars(running.order_by(JobRow.id))):
        taken[row.tenant_id] += _return(session, row, outcome, now, max_attempts)
    forsaken = select(JobRow).where(JobRow.state == JobState.QUEUED, JobRow.cancel_requested_at.is_not(None))
    for row in session.scalars(forsaken.order_by(JobRow.id)):
        if _change(session, row, _CANCELED | {"finished_at": now}):
            outcome.canceled.append(JobId(row.id))
    outcome.unsent.extend(_unsent(session, now, resend_after_seconds))
    for tenant_id in sorted(taken):
        usage.add(session, tenant_id, Usage.DEVICE_SECONDS, taken[tenant_id], now)
    record_ended(session, [*outcome.failed, *outcome.canceled], now)
    return outcome


def _return(session: Session, row: JobRow, outcome: SweepOutcome, now: datetime, max_attempts: int) -> float:
    """The seconds that the lost worker had a device."""
    if row.cancel_requested_at is not None:
        found, changes = outcome.canceled, _CANCELED | {"finished_at": now}
    elif row.attempts >= max_attempts:
        failure = _worker_lost(row.attempts).model_dump(mode="json")
        found, changes = outcome.failed, {"state": JobState.FAILED, "finished_at": now, "failure": failure}
    else:
        found, changes = outcome.requeued, {"state": JobState.QUEUED, "wakeup_at": None, "progress": None}
    taken = seconds_since(row.started_at, now)
    spent = {"device_seconds": row.device_seconds + taken}
    if not _change(session, row, {**changes, **spent, "lease_expires_at": None, "worker_id": None}):
        return 0.0
    found.append(JobId(row.id))
    return taken


def _worker_lost(attempts: int) -> JobFailure:
    return JobFailure(
        code="worker_lost",
        message=f"The worker died or stood still in each of {attempts} attempts.",
        remedy="See the worker's log for why (out of memory is common), then submit the job again.",
        retryable=True,
    )


def _unsent(session: Session, now: datetime, resend_after_seconds: float) -> list[tuple[JobId, JobKind]]:
    patience = timedelta(seconds=resend_after_seconds)
    queued = select(JobRow).where(JobRow.state == JobState.QUEUED)
    never = queued.where(JobRow.wakeup_at.is_(None)).order_by(JobRow.created_at).limit(UNSENT_AT_ONCE)
    # One that is said to have been sent in the future was sent by a clock that has jumped.
    is_stale = or_(JobRow.wakeup_at < now - patience, JobRow.wakeup_at > now + patience)
    stale = queued.where(is_stale).order_by(JobRow.wakeup_at).limit(RESENT_AT_ONCE)
    rows = [*session.scalars(never.execution_options(populate_existing=True)), *session.scalars(stale)]
    mark_sent(session, [JobId(row.id) for row in rows], now=now)
    return [(JobId(row.id), JobKind(row.kind)) for row in rows]


def mark_sent(session: Session, job_ids: list[JobId], *, now: datetime) -> None:
    """Note that a wake-up was sent for these rows."""
    statement = update(JobRow).where(JobRow.id.in_(job_ids)).values(wakeup_at=now)
    session.execute(statement.execution_options(synchronize_session=False))


def _change(session: Session, row: JobRow, changes: dict[str, Any]) -> bool:
    """Compare-and-set on state and token, and for a running row on its lease: it may just have been renewed."""
    unchanged = [JobRow.state == row.state, JobRow.fencing_token == row.fencing_token]
    if row.lease_expires_at is not None:
        unchanged.append(JobRow.lease_expires_at == row.lease_expires_at)
    statement = update(JobRow).where(JobRow.id == row.id, *unchanged)
    result = session.execute(
        statement.values({**changes, "revision": JobRow.revision + 1}).execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", result).rowcount == 1
