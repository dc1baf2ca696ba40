"""Worker processes that are made in a moment, so that a test can kill many of them.

A fork server imports what a worker imports, once; each process forked from it composes a worker as Celery's pool
process does, works off what is queued, and ends. SIGTERM asks it to stop.
"""

import multiprocessing
import os
from multiprocessing.context import ForkServerProcess
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["worker.process", "tests.fakes.attempts"])


def started(settings: dict[str, Any], checkpoint_seconds: float = 0.0) -> ForkServerProcess:
    """A process that works off the queue of the service with these settings."""
    process = _SERVER.Process(target=_work_off, args=(settings, checkpoint_seconds))
    process.start()
    return process


def _work_off(settings: dict[str, Any], checkpoint_seconds: float) -> None:
    import logging
    import signal

    import torch

    from service.logs import configure_logs
    from service.settings import Settings
    from service.store.database import Database
    from worker.process import compose

    os.environ["DEFECTSYNTH_WORKER_CHECKPOINT_SECONDS"] = str(checkpoint_seconds)
    configure_logs(logging.CRITICAL)
    torch.set_num_threads(1)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    given = Settings.model_validate(settings)
    database = Database(given.sqlalchemy_url)
    compose(given, database, worker_id=f"attempt-{os.getpid()}", stopping=lambda: bool(stopping)).work_off()
    database.close()
