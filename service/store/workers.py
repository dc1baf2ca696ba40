"""Queries about the worker processes that reported lately."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.tables import WorkerRow


def num_seen(session: Session, now: datetime, within: timedelta) -> int:
    """Workers that reported within the time given."""
    query = select(func.count()).select_from(WorkerRow).where(WorkerRow.seen_at > now - within)
    return session.scalar(query) or 0
