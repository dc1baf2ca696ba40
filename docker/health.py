"""Health check inside a container: ``python health.py worker`` or ``python health.py maintenance``.

Exit status 0 when healthy; otherwise 1 and a line that says why. That the process lives at all, the engine sees itself:
this asks whether it can work. A worker writes its row from a thread, so a long job does not look like a dead worker.
"""

import socket
import sys
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from service.settings import Settings
from service.store.backlog import swept_at
from service.store.database import Database
from service.store.tables import WorkerRow

SEEN_WITHIN_HEARTBEATS = 6
SWEEPS_MISSED = 12


def complaint(role: str, settings: Settings, hostname: str, now: datetime) -> str | None:
    """What is wrong with this container's process, or None."""
    database = Database(settings.sqlalchemy_url)
    try:
        with database.reading() as session:
            if role == "maintenance":
                return _late("maintenance last swept", swept_at(session), now, SWEEPS_MISSED * settings.sweep_seconds)
            own_rows = WorkerRow.id.startswith(f"{hostname}-", autoescape=True)
            seen_at = session.scalar(select(func.max(WorkerRow.seen_at)).where(own_rows))
    except SQLAlchemyError as error:
        return f"the database does not answer: {error}"
    finally:
        database.close()
    return _late("the worker last reported", seen_at, now, SEEN_WITHIN_HEARTBEATS * settings.heartbeat_seconds)


def _late(what: str, at: datetime | None, now: datetime, limit_seconds: float) -> str | None:
    if at is None:
        return f"{what}: never"
    age_seconds = (now - at).total_seconds()
    return None if age_seconds <= limit_seconds else f"{what} {age_seconds:.0f} s ago"


if __name__ == "__main__":
    sys.exit(complaint(sys.argv[1], Settings(), socket.gethostname(), datetime.now(UTC)))
