"""One attempt at one job: held by a lease that a heartbeat renews, ended exactly once.

::

    succeeded   what it made and its state are one transaction, locked and fenced
    failed      it raised
    canceled    a client asked for it
    released    this worker is asked to stop: back to the queue, the attempt not counted
    forfeited   the lease was lost, or the record is out of reach: nothing is written, another worker takes it up

The heartbeat is a thread beside the job. It stops renewing when the job reports no progress for long: a job that
hangs must not hold its row for ever.
"""

import contextvars
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from models.errors import Canceled, Interrupted, ModelError
from service.contracts.adaptations import CurvePoint
from service.contracts.jobs import Progress
from service.contracts.words import Word
from service.errors import StorageFull
from service.logs import bound, get_logger
from service.store import leases
from service.store.database import Database
from service.store.leases import ClaimedJob, LeaseLost, LeaseState
from worker.bounds import NO_BOUNDS, Bounds
from worker.failures import failure_of, is_unexpected
from worker.losses import Losses
from worker.metrics import Observe, What, unobserved
from worker.progress import Gauge, ProgressWriter
from worker.shares import Shares

_log = get_logger()

#: What a transaction raises while the record is away for a moment, or has no room: no thread and no loop ends by it.
RECORD_AWAY = (SQLAlchemyError, StorageFull)


class Ending(StrEnum):
    """How an attempt ended; see the module's drawing."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    RELEASED = "released"
    FORFEITED = "forfeited"

    @property
    def is_final(self) -> bool:
        """Whether the job is over, so that its scratch folder may go."""
        return self in (Ending.SUCCEEDED, Ending.FAILED, Ending.CANCELED)


@dataclass(frozen=True)
class Finished:
    """What a job made: ``publish`` writes its rows in the transaction that also makes the job succeed."""

    result: Word
    publish: Callable[[Session], None] = lambda session: None


#: Does the work; gets the attempt to report to.
Work = Callable[["Attempt"], Finished]


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds that a lease lasts, between renewals, and without progress until the job counts as hung.

    ``progress_seconds`` between two writes of progress, ``ask_seconds`` between two looks at what clients want: shorter
    than most steps, so that a cancellation takes effect at the next one. Progress is written to the
    row and, far less often, to the log.
    """

    lease_seconds: float
    heartbeat_seconds: float
    stall_seconds: float
    progress_seconds: float = 0.3
    ask_seconds: float = 0.05
    progress_log_seconds: float = 60.0


def utc_now() -> datetime:
    """The clock of everything that is written."""
    return datetime.now(UTC)


class Attempt:
    """A claimed job as its work sees it: where to report, and what the heartbeat learned meanwhile."""

    def __init__(
        self, database: Database, job: ClaimedJob, times: LeaseTimes, stopping: Callable[[], bool],
        bounds: Bounds = NO_BOUNDS,
        observe: Observe = unobserved,
    ) -> None:  # fmt: skip
        self.job = job
        self._observe = observe
        self.database = database
        self._times = times
        self._stopping = stopping
        self._bounds = bounds
        self._state = LeaseState.HELD
        self._losses = Losses([CurvePoint.model_validate(point) for point in job.losses or ()])
        self._began_at = self._logged_at = self._progressed_at = self._asked_at = time.monotonic()

    def progress(self, weights: dict[str, float]) -> ProgressWriter:
        """The reporter to hand to the models; ``weights`` as in `Gauge`."""
        return ProgressWriter(
            Gauge(weights),
            check=self.check,
            write=self._write,
            interval_seconds=self._times.progress_seconds,
            observe=self._observe,
        )

    def check(self) -> None:
        """Say that the job goes on. Raises `Canceled`, `LeaseLost`, `Interrupted`, `OutOfBounds` where it must not."""
        self._progressed_at = now = time.monotonic()
        if now - self._asked_at >= self._times.ask_seconds:
            self._ask()
            self._asked_at = now
        if self._state is LeaseState.LOST:
            raise LeaseLost(self.job.id, self.job.fencing_token)
        if self._state is LeaseState.CANCEL_REQUESTED:
            raise Canceled("A client canceled the job.")
        if self._stopping():
            raise Interrupted("This worker is asked to stop; another one takes the job up.")
        self._bounds.check(now - self._began_at)

    def keep(self, interim: Word, publish: Callable[[Session], None] = lambda session: None) -> None:
        """Keep results so far in the job's record: clients see them, and the next attempt begins with them.

        ``publish`` writes rows that belong to them, in the same transaction; where the lease is lost, nothing is.
        """
        try:
            with self.database.transaction() as session:
                kept = interim.model_dump(mode="json")
                state = leases.record_interim(session, self.job.id, self.job.fencing_token, kept)
                self._learn(state)
                if state is not LeaseState.LOST:
                    publish(session)
        except RECORD_AWAY as error:  # The next attempt would only do more again.
            _log.warning("job.interim_unwritten", error=str(error))
        self.check()

    def _ask(self) -> None:
        try:
            with self.database.reading() as session:
                self._learn(leases.state(session, self.job.id, self.job.fencing_token))
        except RECORD_AWAY as error:  # The heartbeat finds out how long it stays away.
            _log.warning("job.lease_unread", error=str(error))

    def renew(self) -> None:
        """Renew the lease and learn its state. Called by the heartbeat."""
        with self.database.transaction() as session:
            state = leases.renew(
                session,
                self.job.id,
                self.job.fencing_token,
                now=utc_now(),
                lease_seconds=self._times.lease_seconds,
            )
        self._learn(state)

    @property
    def is_stalled(self) -> bool:
        """Whether the job has reported nothing for too long."""
        return time.monotonic() - self._progressed_at > self._times.stall_seconds

    def _write(self, progress: Progress) -> None:
        self._log(progress)
        try:
            with self.database.transaction() as session:
                losses = self._losses.with_next(progress)
                self._learn(leases.record_progress(session, self.job.id, self.job.fencing_token, progress, losses))
        except RECORD_AWAY as error:  # Progress is a courtesy: a database that is away for a moment ends no job.
            _log.warning("job.progress_unwritten", error=str(error))

    def _log(self, progress: Progress) -> None:
        """Now and then, so that the log of a long job tells that it goes on."""
        if time.monotonic() - self._logged_at >= self._times.progress_log_seconds:
            self._logged_at = time.monotonic()
            _log.info("job.progress", **progress.model_dump(exclude={"figures"}))

    def _learn(self, state: LeaseState) -> None:
        if self._state is LeaseState.HELD:
            self._state = state


class Heartbeat:
    """Renews an attempt's lease from a thread while the block runs."""

    def __init__(self, attempt: Attempt, times: LeaseTimes, on_stall: Callable[[], None]) -> None:
        self._attempt = attempt
        self._interval_seconds = times.heartbeat_seconds
        self._on_stall = on_stall
        self._over = threading.Event()
        # In this thread's context, so that its events, too, say which job they are about.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._beat,), name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._interval_seconds):
            if self._attempt.is_stalled:
                _log.error("job.stalled")
                self._on_stall()
                return
            try:
                self._attempt.renew()
            except RECORD_AWAY as error:
                _log.warning("job.lease_unrenewed", error=str(error))


class Lifecycle:
    """Runs claimed jobs. ``stopping`` tells whether this worker is to stop; ``on_stall`` ends a hung process."""

    def __init__(
        self, database: Database, times: LeaseTimes, *, stopping: Callable[[], bool], on_stall: Callable[[], None],
        bounds: Bounds = NO_BOUNDS,
        observe: Observe = unobserved,
    ) -> None:  # fmt: skip
        self._database = database
        self._bounds = bounds
        self._times = times
        self._stopping = stopping
        self._on_stall = on_stall
        self._observe = observe
        self._shares = Shares()

    def run(self, job: ClaimedJob, work: Work) -> Ending:
        """Do the work and write how it ended."""
        attempt = Attempt(self._database, job, self._times, self._stopping, self._bounds, self._observe)
        if job.fencing_token == 1:
            self._observe(What.WAIT, max(0.0, (utc_now() - job.created_at).total_seconds()), job.kind)
        with bound(**_keys(job)):
            started = time.monotonic()
            _log.info("job.claimed", attempt=job.attempts, fencing_token=job.fencing_token, class_name=job.class_name)
            try:
                with Heartbeat(attempt, self._times, self._on_stall), self._shares.one() as taken:
                    ending = self._attempt(attempt, work, taken)
            except LeaseLost:
                ending = Ending.FORFEITED
            except RECORD_AWAY as error:  # The ending itself cannot be written, so the lease runs out.
                _log.error("job.record_unreachable", error=str(error))
                ending = Ending.FORFEITED
            seconds = time.monotonic() - started
            self._observe(What.ATTEMPT, seconds, job.kind, ending)
            _log.info(f"job.{ending}", seconds=round(seconds, 2))
        return ending

    def _attempt(self, attempt: Attempt, work: Work, taken: Callable[[], float]) -> Ending:
        try:
            finished = work(attempt)
            self._succeed(attempt.job, finished, taken)
        except LeaseLost:
            raise
        except Canceled:
            return self._cancel(attempt.job, taken())
        except Interrupted:
            return self._release(attempt.job, taken())
        except OperationalError:  # The record is out of reach: nothing can be written of this attempt.
            raise
        except Exception as error:  # The border: whatever a job raises becomes a failure that a client can read.
            return self._fail(attempt.job, error, taken())
        return Ending.SUCCEEDED

    def _succeed(self, job: ClaimedJob, finished: Finished, taken: Callable[[], float]) -> None:
        result = finished.result.model_dump(mode="json")
        with self._database.transaction() as session:
            leases.hold(session, job.id, job.fencing_token)
            finished.publish(session)
            session.flush()
            leases.succeed(session, job.id, job.fencing_token, result=result, now=utc_now(), taken=taken())

    def _cancel(self, job: ClaimedJob, taken: float) -> Ending:
        with self._database.transaction() as session:
            leases.cancel(session, job.id, job.fencing_token, now=utc_now(), taken=taken)
        return Ending.CANCELED

    def _release(self, job: ClaimedJob, taken: float) -> Ending:
        with self._database.transaction() as session:
            leases.release(session, job.id, job.fencing_token, now=utc_now(), taken=taken)
        return Ending.RELEASED

    def _fail(self, job: ClaimedJob, error: Exception, taken: float) -> Ending:
        failure = failure_of(error)
        if is_unexpected(failure):
            _log.exception("job.unexpected_error", exc_info=error)
        else:
            detail = error.detail if isinstance(error, ModelError) else None
            _log.warning("job.error", code=failure.code, message=failure.message, detail=detail)
        with self._database.transaction() as session:
            leases.fail(session, job.id, job.fencing_token, failure=failure, now=utc_now(), taken=taken)
        self._observe(What.FAILURE, 1, job.kind, failure.code)
        return Ending.FAILED


def _keys(job: ClaimedJob) -> dict[str, str]:
    """What every event of the job carries; ``request_id`` leads back to the request that submitted it."""
    keys = {"job_id": job.id, "kind": str(job.kind), "tenant_id": job.tenant_id}
    return keys | ({"request_id": job.request_id} if job.request_id is not None else {})
