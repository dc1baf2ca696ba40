"""What waits, what runs and what is overdue, over all tenants: what metrics and readiness ask the record.

Every query is answered from an index, for they run at each scrape and probe however many jobs there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.contracts.jobs import JobKind, JobState
from service.contracts.webhooks import DeliveryState
from service.store.tables import JobRow, SweepRow, WebhookDeliveryRow

_COUNTS = select(JobRow.state, JobRow.kind, func.count()).group_by(JobRow.state, JobRow.kind)
_OLDEST = select(JobRow.kind, func.min(JobRow.created_at)).where(JobRow.state == JobState.QUEUED).group_by(JobRow.kind)


@dataclass(frozen=True)
class Backlog:
    """``counts``: jobs by state and kind. ``oldest_queued_at``: by kind, where any is queued."""

    counts: Mapping[tuple[JobState, JobKind], int]
    oldest_queued_at: Mapping[JobKind, datetime]


def backlog(session: Session) -> Backlog:
    """All jobs, counted."""
    counted = session.execute(_COUNTS).all()
    return Backlog(
        {(JobState(state), JobKind(kind)): number for state, kind, number in counted},
        {JobKind(kind): oldest for kind, oldest in session.execute(_OLDEST)},
    )


def oldest_queued_at(session: Session) -> datetime | None:
    """When the job that waits longest was submitted; None where none waits."""
    return session.scalar(select(func.min(JobRow.created_at)).where(JobRow.state == JobState.QUEUED))


@dataclass(frozen=True)
class Unsent:
    """Deliveries to webhooks that wait; ``oldest_at``: since when the one that waits longest does."""

    number: int
    oldest_at: datetime | None


def unsent_deliveries(session: Session) -> Unsent:
    """All that are pending, between attempts too."""
    pending = select(func.count(), func.min(WebhookDeliveryRow.created_at)).where(
        WebhookDeliveryRow.state == DeliveryState.PENDING
    )
    number, oldest_at = session.execute(pending).one()
    return Unsent(number, oldest_at)


def swept_at(session: Session) -> datetime | None:
    """When maintenance last swept; None where it never has."""
    return session.scalar(select(func.max(SweepRow.swept_at)))


def num_expired_leases(session: Session, now: datetime) -> int:
    """Running jobs whose worker has not renewed its lease in time, and which the sweep has not yet given back."""
    expired = select(func.count()).select_from(JobRow).where(JobRow.lease_expires_at < now)
    return session.scalar(expired.where(JobRow.state == JobState.RUNNING)) or 0
