"""The sweep: what dead workers held goes back to the queue, what no message announces is announced again, what was kept
long enough is deleted, and stored files that nothing names are removed. Beside it, threads send to webhooks.

A plain loop in a small process without torch, rather than a Celery beat and a second Celery worker: with concurrency 1
a periodic task would wait behind a running job, and a sweep that needs the broker could not mend what the broker lost.
Any number of these loops may run at once: every change is a compare-and-set.
"""

import random
import shutil
import signal
import ssl
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from celery import Celery
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.broker import JOBS_QUEUE, WAKE_TASK, broker_of
from service.contracts.ids import JobId
from service.contracts.jobs import JobState
from service.errors import StorageUnavailable
from service.logs import configure_logs, get_logger
from service.outbound import resolve_by_system
from service.settings import Settings
from service.store import deliveries, idempotency
from service.store.artifacts import ArtifactStore
from service.store.database import Database
from service.store.lease_watch import LeaseWatch
from service.store.placement import artifact_store
from service.store.retention import Retention, expire
from service.store.sweep import LAST_SWEEP, SweepOutcome, sweep
from service.store.tables import JobRow, SweepRow, WorkerRow
from worker.app import follow_parent
from worker.lifecycle import RECORD_AWAY, utc_now
from worker.metrics import OF_MAINTENANCE, Metrics, Observe, What, unobserved
from worker.orphans import remove_orphans
from worker.settings import WorkerSettings
from worker.webhooks.posting import Poster
from worker.webhooks.sending import Sender

_log = get_logger()
_HOUSE_ENDS_SECONDS = 5.0
_LIVE = (JobState.QUEUED, JobState.RUNNING)


class Maintenance:
    """One sweep after another. ``send`` puts a wake-up on the broker and may raise."""

    def __init__(
        self,
        database: Database,
        artifacts: ArtifactStore,
        settings: Settings,
        own: WorkerSettings,
        send: Callable[[JobId], None],
        observe: Observe = unobserved,
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._settings = settings
        self._own = own
        self._send = send
        self._observe = observe
        self._leases = LeaseWatch(settings.lease_seconds)

    def sweep_once(self) -> SweepOutcome:
        """Return expired jobs, announce what is due, and tidy up; quick, for others wait for it."""
        with self._database.transaction() as session:
            outcome = sweep(
                session,
                now=utc_now(),
                max_attempts=self._settings.max_attempts,
                resend_after_seconds=self._own.resend_seconds,
                overdue=self._leases,
            )
            self._forget_workers(session)
            deliveries.prune(session, before=utc_now() - timedelta(seconds=self._own.keep_deliveries_seconds))
            idempotency.forget(session, utc_now() - timedelta(seconds=self._settings.idempotency_seconds))
            session.merge(SweepRow(id=LAST_SWEEP, swept_at=utc_now()))
        self._log(outcome)
        self._announce(outcome)
        self.remove_scratch(self._settings.data_dir.resolve() / "work")
        return outcome

    def remove_scratch(self, work_dir: Path) -> None:
        """Remove the scratch folders of jobs that are final or unknown."""
        folders = {folder.name: folder for folder in work_dir.iterdir()} if work_dir.is_dir() else {}
        if not folders:
            return
        with self._database.reading() as session:
            live = select(JobRow.id).where(JobRow.id.in_(list(folders)), JobRow.state.in_(_LIVE))
            kept = set(session.scalars(live))
        for name in folders.keys() - kept:
            shutil.rmtree(folders[name], ignore_errors=True)

    def keep_house(self) -> None:
        """Delete what is kept no longer, and look at every stored file for those that nothing names."""
        num_expired = expire(self._database, retention_of(self._settings), utc_now())
        if num_expired:
            _log.info("maintenance.expired", num_deleted=num_expired)
        num_removed = remove_orphans(self._database, self._artifacts, utc_now(), self._own.keep_orphans_seconds)
        self._observe(What.ORPHAN, num_removed)
        if num_removed:
            _log.info("maintenance.orphans_removed", num_removed=num_removed)

    def _announce(self, outcome: SweepOutcome) -> None:
        for job_id, _ in outcome.unsent:
            try:
                self._send(job_id)
                self._observe(What.WAKEUP, 1, "sent")
            except Exception as error:  # Every transport has its own errors; the rows are due again in a while.
                self._observe(What.WAKEUP, 1, "failed")
                _log.warning("maintenance.broker_unreachable", error=str(error))
                return

    def _forget_workers(self, session: Session) -> None:
        unseen = utc_now() - timedelta(seconds=self._own.forget_worker_seconds)
        session.execute(delete(WorkerRow).where(WorkerRow.seen_at < unseen))

    def _log(self, outcome: SweepOutcome) -> None:
        found = {"requeued": outcome.requeued, "failed": outcome.failed, "canceled": outcome.canceled}
        for became, job_ids in found.items():
            self._observe(What.SWEPT_JOB, len(job_ids), became)
        if any(found.values()):
            _log.warning("maintenance.swept", **found)


def sender(database: Database, settings: Settings, own: WorkerSettings) -> Sender:
    """What sends to webhooks. Which authorities it trusts over TLS is the system's choice (``SSL_CERT_FILE``)."""
    poster = Poster(
        settings.webhook_allow_list,
        resolve_by_system,
        ssl.create_default_context(),
        own.webhook_connect_seconds,
        own.webhook_timeout_seconds,
    )
    return Sender(database, poster, own, utc_now, random.random)


def retention_of(settings: Settings) -> Retention:
    """How long the settings keep things."""
    return Retention(
        datasets_days=settings.keep_datasets_days,
        generations_days=settings.keep_generations_days,
        evaluations_days=settings.keep_evaluations_days,
        remains_days=settings.keep_remains_days,
        tombstones_days=settings.keep_tombstones_days,
    )


def run(settings: Settings) -> int:
    """Sweep every ``sweep_seconds`` until SIGTERM or SIGINT; the exit status."""
    configure_logs(settings.log_level)
    follow_parent()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    celery = Celery("defectsynth", set_as_current=False)
    celery.conf.update(broker_of(settings).sender_config())

    def send(job_id: JobId) -> None:
        celery.send_task(WAKE_TASK, args=[job_id], queue=JOBS_QUEUE, ignore_result=True)

    own, metrics = WorkerSettings(), Metrics(OF_MAINTENANCE)
    if own.maintenance_metrics_port:
        metrics.serve(own.metrics_host, own.maintenance_metrics_port)
    maintenance = Maintenance(database, artifact_store(settings), settings, own, send, metrics)
    webhooks = sender(database, settings, own)
    webhooks.start()
    _log.info("maintenance.started", sweep_seconds=settings.sweep_seconds)
    # Looking at every stored file can take minutes, which no expired lease should wait for.
    house = threading.Thread(
        target=lambda: _repeat(maintenance.keep_house, own.orphan_sweep_seconds, over, lambda done: None),
        name="house", daemon=True,
    )  # fmt: skip
    house.start()

    def told(done: bool) -> None:
        metrics(What.SWEEP, 1, "done" if done else "failed")
        if done:
            metrics(What.SWEPT_AT, time.time())

    _repeat(maintenance.sweep_once, settings.sweep_seconds, over, told)
    webhooks.stop()
    house.join(_HOUSE_ENDS_SECONDS)
    celery.close()
    database.close()
    _log.info("maintenance.stopped")
    return 0


def _repeat(
    once: Callable[[], object], every_seconds: float, over: threading.Event, told: Callable[[bool], None]
) -> None:
    """Until ``over``, whatever is away meanwhile."""
    while not over.is_set():
        try:
            once()
            told(True)
        except (*RECORD_AWAY, StorageUnavailable, OSError) as error:
            told(False)
            _log.warning("maintenance.failed", what=getattr(once, "__name__", ""), error=str(error))
        over.wait(every_seconds)


if __name__ == "__main__":
    raise SystemExit(run(Settings()))
