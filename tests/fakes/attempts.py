"""Worker processes that are made in a moment, so that a test can kill many of them.

A fork server imports what a worker imports, once; each process forked from it composes a worker as Celery's pool
process does, works off what is queued, and ends. SIGTERM asks it to stop.
"""

import errno
import io
import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["worker.process", "tests.fakes.attempts"])


#: The exit status of a process that met the full disk.
MET_A_FULL_DISK = 3


def started(
    settings: dict[str, Any], checkpoint_seconds: float = 0.0, disk_full_at: int | None = None
) -> ForkServerProcess:
    """A process that works off the queue of the service with these settings.

    ``disk_full_at``: its n-th file opened for writing finds no room, and every later one of the same job.
    """
    process = _SERVER.Process(target=_work_off, args=(settings, checkpoint_seconds, disk_full_at))
    process.start()
    return process


def _work_off(settings: dict[str, Any], checkpoint_seconds: float, disk_full_at: int | None) -> None:
    import logging
    import signal

    import torch

    from service.logs import configure_logs
    from service.settings import Settings
    from service.store.database import Database
    from worker.process import compose

    os.environ["DEFECTSYNTH_WORKER_CHECKPOINT_SECONDS"] = str(checkpoint_seconds)
    disk = Disk(disk_full_at)
    configure_logs(logging.CRITICAL)
    torch.set_num_threads(1)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    given = Settings.model_validate(settings)
    database = Database(given.sqlalchemy_url)
    compose(given, database, worker_id=f"attempt-{os.getpid()}", stopping=lambda: bool(stopping)).work_off()
    database.close()
    if disk.is_full:
        sys.exit(MET_A_FULL_DISK)


class Disk:
    """Every file of this process is opened for writing through `io.open`; SQLite alone has its own way."""

    def __init__(self, full_at: int | None) -> None:
        self._left = full_at
        self._open = io.open
        self.is_full = False
        if full_at is not None:
            io.open = self._opened

    def _opened(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+") and self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.is_full = True
                raise OSError(errno.ENOSPC, "No space left on device")
        return self._open(file, mode, *arguments, **options)
