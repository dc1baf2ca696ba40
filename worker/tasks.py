"""The one task: "there may be work". A message is only a wake-up; which job is run is the record's decision.

This module lives in Celery's parent and child alike; what is heavy is imported in the child, at the first wake-up.
"""

import faulthandler
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawValue
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down

from service.broker import WAKE_TASK
from service.logs import configure_logs, get_logger
from service.settings import Settings
from service.store.database import Database
from worker.metrics import OF_WORKER, Observe, What
from worker.parentage import die_with_parent
from worker.presence import Doing, Presence

if TYPE_CHECKING:
    from worker.process import WorkingProcess

_log = get_logger()
#: A shutdown takes a second or two: the time to the running job's next step, and to load what is being loaded.
_SHUTDOWN_SECONDS = 15.0


@dataclass
class Child:
    """One pool process: what it has made so far."""

    settings: Settings
    stopping: Any
    database: Database
    worker_id: str
    observe: Observe
    process: "WorkingProcess | None" = None
    presence: Presence | None = None

    def working_process(self) -> "WorkingProcess":
        """Made at the first wake-up, for importing torch takes longer than a pool process may take to start."""
        if self.process is None:
            started = time.monotonic()
            from worker.process import compose

            self.process = compose(
                self.settings,
                self.database,
                worker_id=self.worker_id,
                stopping=lambda: bool(self.stopping.value),
                observe=self.observe,
            )
            _log.info("worker.ready", seconds=round(time.monotonic() - started, 2))
        return self.process

    def doing(self) -> Doing:
        """What the worker's row says."""
        return self.process.doing if self.process is not None else Doing()


def register(celery: Celery, settings: Settings, observe: Observe) -> None:
    """Give the task and the processes' beginnings and ends to the Celery app. ``observe`` is called in the child."""
    # One byte that parent and children share: a signal handler may set it, for it has no lock.
    stopping = RawValue("b", 0)
    children: list[Child] = []

    @celery.task(name=WAKE_TASK)  # type: ignore[untyped-decorator]
    def wake(job_id: str) -> None:
        _log.debug("worker.woken", job_id=job_id)
        children[0].working_process().work_off()

    @worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def begin(**_: object) -> None:
        die_with_parent(SIGKILL)
        configure_logs(settings.log_level)
        children[:] = [_born(settings, stopping, observe)]

    @worker_process_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
    def end(**_: object) -> None:
        for child in children:
            if child.presence is not None:
                child.presence.stop()
            child.database.close()

    @worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def stop(**_: object) -> None:
        stopping.value = 1
        watchdog = threading.Timer(_SHUTDOWN_SECONDS, _end_at_once)
        watchdog.daemon = True
        watchdog.start()


def _end_at_once() -> None:
    """Whatever hangs, a worker that was asked to stop ends; the pool process dies with it, and its lease runs out."""
    _log.error("worker.shutdown_hung", seconds=_SHUTDOWN_SECONDS)
    faulthandler.dump_traceback()
    os._exit(1)


def _born(settings: Settings, stopping: Any, observe: Observe) -> Child:
    observe(What.PROCESS, 1)
    for what in OF_WORKER[What.RESIDENT].labels["what"]:
        observe(What.RESIDENT, 0, what)
    worker_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    child = Child(settings, stopping, Database(settings.sqlalchemy_url), worker_id, observe)
    child.presence = Presence(
        child.database, worker_id, settings.device, settings.heartbeat_seconds, child.doing, observe
    )
    child.presence.start()
    return child
