"""Queries about the worker processes that reported lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.ids import AdapterId
from service.store.tables import WorkerRow


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
