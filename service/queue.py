"""Wake-ups for workers, sent by task name: this room's only Celery import."""

import time
from typing import TYPE_CHECKING

from service.broker import JOBS_QUEUE, WAKE_TASK, broker_of, check_files
from service.contracts.ids import JobId
from service.contracts.jobs import JobKind
from service.logs import get_logger
from service.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

_log = get_logger()


class Queue:
    """Sends wake-ups. A lost message costs time, never a job: the row is the truth, and the sweep sends again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._celery: Celery | None = None

    def send(self, kind: JobKind, job_id: JobId) -> bool:
        """Wake a worker for a committed row. False where the broker cannot be reached; never raises for that."""
        started = time.monotonic()
        try:
            self._sender().send_task(WAKE_TASK, args=[job_id], queue=JOBS_QUEUE, ignore_result=True)
        except Exception as error:  # Every transport has its own errors, and none may fail a request that is committed.
            waited = round(time.monotonic() - started, 2)
            _log.warning("queue.unreachable", job_id=job_id, kind=kind, error=str(error), waited_seconds=waited)
            return False
        _log.debug("queue.sent", job_id=job_id, kind=kind)
        return True

    def check(self) -> None:
        """Raise the transport's own error where no wake-up could be sent: the broker is out, or its folder is full."""
        if self._settings.broker_url is None:
            check_files(self._settings)
            return
        with self._sender().connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)

    def close(self) -> None:
        """Close pooled connections."""
        if self._celery is not None:
            self._celery.close()
            self._celery = None

    def _sender(self) -> "Celery":
        # Imported at the first message: it takes longer than all the rest of the API.
        from celery import Celery

        if self._celery is None:
            self._celery = Celery("defectsynth", set_as_current=False)
            self._celery.conf.update(broker_of(self._settings).sender_config())
        return self._celery


def configure(settings: Settings) -> Queue:
    """The queue of this process."""
    return Queue(settings)
