"""What accepting any work ends with: queued rows in the request's transaction, and wake-ups after its commit.

A wake-up that is not delivered loses nothing: rows without one are sent again by the sweep.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.contracts.ids import AdapterId, JobId, TenantId
from service.contracts.jobs import JobKind
from service.contracts.words import Word
from service.errors import QueueFull, StorageFull
from service.logs import bound_value, get_logger
from service.quotas import NO_QUOTAS, Quotas, refuse_jobs_beyond
from service.store import jobs, usage
from service.store.database import Database
from service.store.tables import JobRow
from service.store.usage import Usage

#: Wakes a worker for a committed row; False, never an error, where the broker cannot be reached.
Send = Callable[[JobKind, JobId], bool]
R = TypeVar("R")
#: Called with the resource's row at the end of the transaction that makes it and its jobs.
Note = Callable[[Session, R], None]


def nothing(session: Session, row: object) -> None:
    """A `Note` that notes nothing."""


_log = get_logger()


@dataclass(frozen=True)
class QueuedJob:
    """One job to be written. ``adapter_id``: which adapter it needs, so that a worker that holds it takes it.

    ``num_images``: what it counts against the tenant's images a day.
    """

    class_name: str
    params: Word
    adapter_id: str | None = None
    num_images: int = 0


class Queueing:
    """Writes queued rows and wakes workers, for every use case that accepts work."""

    def __init__(
        self,
        database: Database,
        send: Send,
        clock: Callable[[], datetime],
        new_id: Callable[[str], str],
        max_queued_jobs: int,
        quotas: Quotas = NO_QUOTAS,
    ) -> None:
        self.database = database
        self.clock = clock
        self.new_id = new_id
        self._send = send
        self._max_queued_jobs = max_queued_jobs
        self._quotas = quotas

    def check(self, session: Session, tenant_id: TenantId, kind: JobKind, num_jobs: int, num_images: int = 0) -> None:
        """Whether so many jobs may be queued now. Raises ``QueueFull``, ``QuotaExceeded`` and ``BeyondLimit``."""
        refuse_jobs_beyond(self._max_queued_jobs, "max_queued_jobs", kind, num_jobs)
        self._quotas.check_work(session, tenant_id, kind, self.clock(), num_jobs=num_jobs, num_images=num_images)
        if jobs.num_queued(session) + num_jobs > self._max_queued_jobs:
            raise QueueFull(f"{self._max_queued_jobs} jobs may wait (max_queued_jobs)")

    def queue(
        self,
        session: Session,
        tenant_id: TenantId,
        kind: JobKind,
        resource_id: str,
        queued: Sequence[QueuedJob],
        priority: int = 0,
    ) -> list[JobRow]:
        """Queued rows in the caller's transaction, to be run in their order.

        Each keeps the id of the request that is being answered, which the worker's log repeats. Raises ``QueueFull``,
        ``QuotaExceeded`` and ``BeyondLimit``.
        """
        num_images = sum(one.num_images for one in queued)
        self.check(session, tenant_id, kind, len(queued), num_images)
        usage.add(session, tenant_id, Usage.IMAGES, num_images, self.clock())
        now = self.clock()
        return [
            jobs.insert(
                session,
                tenant_id,
                JobId(self.new_id("job")),
                kind,
                resource_id,
                one.class_name,
                one.params,
                now + timedelta(microseconds=place),  # A microsecond apart, so that they run in the order asked for.
                AdapterId(one.adapter_id) if one.adapter_id is not None else None,
                priority,
                bound_value("request_id"),
            )
            for place, one in enumerate(queued)
        ]

    def wake(self, rows: Sequence[JobRow]) -> None:
        """After the commit. Noting it spares the sweep a second message; failing to note it does no harm."""
        sent = [row.id for row in rows if self._send(JobKind(row.kind), JobId(row.id))]
        _log.info("jobs.queued", job_ids=[row.id for row in rows], num_sent=len(sent))
        try:
            with self.database.transaction() as session:
                jobs.mark_woken(session, sent, self.clock())
        except (SQLAlchemyError, StorageFull) as error:  # The work is accepted: an error now would have it sent twice.
            _log.warning("jobs.wake_unnoted", error=str(error))
