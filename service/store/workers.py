"""Queries about the worker processes that reported lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.ids import AdapterId, TenantId
from service.store.tables import AdapterRow, JobRow, WorkerRow


@dataclass(frozen=True)
class SeenWorker:
    """A worker as its row tells it. ``looked_at``: when it last looked for work; None: never since it started."""

    is_busy: bool
    resident_adapter_id: AdapterId | None
    looked_at: datetime | None


def seen(session: Session, now: datetime, within: timedelta) -> Sequence[SeenWorker]:
    """Workers that reported within the time given."""
    columns = (WorkerRow.job_id, WorkerRow.resident_adapter_id, WorkerRow.looked_at)
    rows = session.execute(select(*columns).where(WorkerRow.seen_at > now - within))
    return [SeenWorker(job is not None, AdapterId(held) if held else None, looked) for job, held, looked in rows]


def rows(session: Session, now: datetime, within: timedelta) -> Sequence[WorkerRow]:
    """The same workers' rows, in the order of their ids."""
    return session.scalars(select(WorkerRow).where(WorkerRow.seen_at > now - within).order_by(WorkerRow.id)).all()


@dataclass(frozen=True)
class Owned:
    """Of what workers do and hold, what is a tenant's; jobs by their ids."""

    jobs: dict[str, JobRow]
    adapter_ids: frozenset[str]


def owned_by(session: Session, tenant_id: TenantId, workers: Sequence[WorkerRow]) -> Owned:
    """What of it may be told to the tenant."""
    job_ids = [one.job_id for one in workers if one.job_id is not None]
    adapter_ids = [one.resident_adapter_id for one in workers if one.resident_adapter_id is not None]
    jobs = session.scalars(select(JobRow).where(JobRow.id.in_(job_ids), JobRow.tenant_id == tenant_id))
    held = select(AdapterRow.id).where(AdapterRow.id.in_(adapter_ids), AdapterRow.tenant_id == tenant_id)
    return Owned({one.id: one for one in jobs}, frozenset(session.scalars(held)))
