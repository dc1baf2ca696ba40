"""Worker processes that are made in a moment, so that a test can kill many of them.

A fork server imports what a worker imports, once; each process forked from it composes a worker as Celery's pool
process does, works off what is queued, and ends. SIGTERM asks it to stop.
"""

import errno
import io
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["worker.process", "tests.fakes.attempts"])


#: The exit status of a process that met the full disk.
MET_A_FULL_DISK = 3


def started(
    settings: dict[str, Any],
    checkpoint_seconds: float = 0.0,
    disk_full_at: int | None = None,
    frozen_at: int | None = None,
    record_full: range = range(0),
    max_shared_generations: int = 1,
) -> ForkServerProcess:
    """A process that works off the queue of the service with these settings.

    ``disk_full_at``: its n-th file opened for writing finds no room, and every later one of the same job.
    ``frozen_at``: as it has opened its n-th file for writing it stops, until SIGCONT.
    ``max_shared_generations``: by default none, so that equal work has equal bytes.
    ``record_full``: these of its changes to the record, counted from 1, find no room in SQLite's file.
    """
    process = _SERVER.Process(
        target=_work_off,
        args=(settings, checkpoint_seconds, max_shared_generations, Disk(disk_full_at, frozen_at), Record(record_full)),
    )
    process.start()
    return process


def is_frozen(process: ForkServerProcess) -> bool:
    """Whether it stands still, or has ended."""
    return not process.is_alive() or ") T " in Path(f"/proc/{process.pid}/stat").read_text()


def _work_off(
    settings: dict[str, Any], checkpoint_seconds: float, max_shared: int, disk: "Disk", record: "Record"
) -> None:
    import logging

    import torch

    from service.errors import StorageFull
    from service.logs import configure_logs
    from service.settings import Settings
    from service.store.database import Database
    from worker.process import compose

    os.environ["DEFECTSYNTH_WORKER_CHECKPOINT_SECONDS"] = str(checkpoint_seconds)
    os.environ["DEFECTSYNTH_WORKER_MAX_SHARED_GENERATIONS"] = str(max_shared)
    disk.use()
    record.use()
    configure_logs(logging.CRITICAL)
    torch.set_num_threads(1)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    given = Settings.model_validate(settings)
    database = Database(given.sqlalchemy_url)
    with suppress(StorageFull):  # No room to claim: Celery logs it, and the next wake-up comes from the sweep.
        compose(given, database, worker_id=f"attempt-{os.getpid()}", stopping=lambda: bool(stopping)).work_off()
    database.close()
    if disk.is_full or record.is_full:
        sys.exit(MET_A_FULL_DISK)


class Disk:
    """Every file of a process is opened for writing through `io.open`; SQLite alone has its own way: see `Record`."""

    def __init__(self, full_at: int | None, frozen_at: int | None = None) -> None:
        self._full_at, self._frozen_at = full_at, frozen_at
        self._count = 0
        self.is_full = False

    def use(self) -> None:
        """From here on this process has it."""
        self._open = io.open
        if self._full_at is not None or self._frozen_at is not None:
            io.open = self._opened

    def _opened(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        writes = bool(set(mode) & set("wax+"))
        self._count += writes
        if writes and self._full_at is not None and self._count >= self._full_at:
            self.is_full = True
            raise OSError(errno.ENOSPC, "No space left on device")
        opened = self._open(file, mode, *arguments, **options)
        if writes and self._count == self._frozen_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        return opened


class Record:
    """SQLite's file may not grow at some of a process's changes, and these want room: SQLite says SQLITE_FULL."""

    def __init__(self, full: range) -> None:
        self._full = full
        self._count = 0
        self.is_full = False

    def use(self) -> None:
        """From here on this process has it."""
        if self._full:
            event.listen(Engine, "before_cursor_execute", self._before, retval=True)

    def _before(
        self, connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self._count += 1
            if self._count in self._full:
                self.is_full = True
                cursor.execute(f"PRAGMA max_page_count = {_NO_MORE_PAGES}")
                return _LARGE_CHANGE, [()] if executemany else ()
            cursor.execute(f"PRAGMA max_page_count = {_ANY_NUMBER_OF_PAGES}")
        return statement, parameters


#: SQLite takes the number of pages that there are for any smaller one.
_NO_MORE_PAGES, _ANY_NUMBER_OF_PAGES = 1, 2**30
_LARGE_CHANGE = "UPDATE job SET params = zeroblob(10000000)"
