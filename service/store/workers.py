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
    """A worker as its row tells it. ``looked_at``: when it last looked for work; None: never since it started.

    ``memory_bytes``, ``device_memory_bytes``: that its machine and its GPU have in all; None: not known.
    """

    is_busy: bool
    resident_adapter_id: AdapterId | None
    looked_at: datetime | None
    device: str
    memory_bytes: int | None
    device_memory_bytes: int | None


def seen(session: Session, now: datetime, within: timedelta) -> Sequence[SeenWorker]:
    """Workers that reported within the time given."""
    return [
        SeenWorker(
            is_busy=row.job_id is not None,
            resident_adapter_id=AdapterId(row.resident_adapter_id) if row.resident_adapter_id else None,
            looked_at=row.looked_at,
            device=row.device,
            memory_bytes=row.memory_bytes,
            device_memory_bytes=row.device_memory_bytes,
        )
        for row in session.scalars(select(WorkerRow).where(WorkerRow.seen_at > now - within))
    ]
