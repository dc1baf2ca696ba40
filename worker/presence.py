"""A worker process shows itself: its row says that it lives, what it holds and how much memory it takes."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from service.logs import get_logger
from service.store.database import Database
from service.store.tables import WorkerRow
from worker.bounds import machine_bytes, resident_bytes
from worker.lifecycle import RECORD_AWAY, utc_now
from worker.metrics import Observe, What, unobserved

_log = get_logger()


@dataclass(frozen=True)
class Doing:
    """What a worker is busy with now. ``looked_at``: when it last looked for work.

    ``device_memory_bytes`` are held of the ``device_memory_limit_bytes`` that the GPU has. ``device``: its name; None
    as long as torch was not loaded.
    """

    job_id: str | None = None
    resident_adapter_id: str | None = None
    looked_at: datetime | None = None
    device_memory_bytes: int = 0
    device: str | None = None
    device_memory_limit_bytes: int | None = None


class Presence:
    """Writes the row now and then from a thread, whether the process is idle or busy."""

    def __init__(
        self, database: Database, worker_id: str, device: str, interval_seconds: float, doing: Callable[[], Doing],
        observe: Observe = unobserved,
    ) -> None:  # fmt: skip
        self._database = database
        self._worker_id = worker_id
        self._device = device
        self._interval_seconds = interval_seconds
        self._doing = doing
        self._observe = observe
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Show the worker at once, and go on in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Take the row away."""
        self._over.set()
        self._thread.join(timeout=2)
        try:
            with self._database.transaction() as session:
                row = session.get(WorkerRow, self._worker_id)
                if row is not None:
                    session.delete(row)
        except RECORD_AWAY as error:
            _log.warning("worker.unreported", error=str(error))

    def report(self) -> None:
        """Write the row."""
        doing, rss_bytes = self._doing(), resident_bytes()
        self._observe(What.MEMORY, rss_bytes)
        self._observe(What.DEVICE_MEMORY, doing.device_memory_bytes)
        row = WorkerRow(
            id=self._worker_id,
            device=doing.device or self._device,
            resident_adapter_id=doing.resident_adapter_id,
            job_id=doing.job_id,
            rss_bytes=rss_bytes,
            memory_bytes=machine_bytes(),
            device_memory_bytes=doing.device_memory_limit_bytes,
            seen_at=utc_now(),
            looked_at=doing.looked_at,
        )
        with self._database.transaction() as session:
            session.merge(row)

    def _run(self) -> None:
        while True:
            try:
                self.report()
            except RECORD_AWAY as error:
                _log.warning("worker.unreported", error=str(error))
            if self._over.wait(self._interval_seconds):
                return
