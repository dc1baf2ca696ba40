"""The Celery worker: one pool process at a time, one unacknowledged wake-up at a time, nothing kept in the broker.

Prefork with concurrency 1: the parent answers signals while the child computes, and a child that dies (out of memory)
is replaced. With early acknowledgement a wake-up would wait behind a job while another worker idles; acknowledged
late and prefetched singly, it goes to who is free. Delivered twice, it finds nothing to claim.
"""

import os
import signal
import warnings

from celery import Celery
from celery.platforms import SecurityWarning

from service.broker import JOBS_QUEUE, broker_of
from service.logs import configure_logs, get_logger
from service.settings import Settings
from service.store.database import Database
from worker.credentials import signing
from worker.metrics import OF_WORKER, Metrics, Observe, Pipe, unobserved
from worker.parentage import die_with_parent
from worker.settings import WorkerSettings
from worker.tasks import register

_log = get_logger()
#: Set by a parent that wants its worker to end with it.
PARENT_PID_VARIABLE = "DEFECTSYNTH_PARENT_PID"


def create_app(settings: Settings, observe: Observe = unobserved) -> Celery:
    """The app with its task, connected to nothing yet."""
    celery = Celery("defectsynth")
    celery.conf.update(broker_of(settings).worker_config())
    celery.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    register(celery, settings, observe)
    return celery


def run(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT, then leave the job to others; the exit status."""
    configure_logs(settings.log_level)
    # It warns of pickled messages, which are not accepted here, not of rights that this worker would need.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    follow_parent()
    own = WorkerSettings()
    signing(own)  # Unusable credentials stop the worker here, not each of its pool processes at every job.
    _migrate(settings)
    worker = create_app(settings, _observed(own)).Worker(
        pool_cls="prefork",
        concurrency=1,
        queues=[JOBS_QUEUE],
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    _log.info("worker.started", broker="files" if settings.broker_url is None else "remote", device=settings.device)
    worker.start()
    _log.info("worker.stopped")
    return int(worker.exitcode or 0)


def _observed(own: WorkerSettings) -> Observe:
    """Where the pool process tells what it measures: this process, where its settings have it answer scrapes."""
    if not own.metrics_port:
        return unobserved
    metrics, pipe = Metrics(OF_WORKER), Pipe()
    pipe.follow(metrics)
    metrics.serve(own.metrics_host, own.metrics_port)
    return pipe


def follow_parent() -> None:
    """End with the process that started this one, where it asks for that."""
    parent = os.environ.get(PARENT_PID_VARIABLE)
    if parent is not None:
        die_with_parent(signal.SIGTERM, int(parent))


def _migrate(settings: Settings) -> None:
    """Bring the schema up to date before anything is forked; leave no connection open."""
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    database.close()
