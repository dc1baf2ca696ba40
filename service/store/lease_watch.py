"""Which running jobs nobody holds any more, found without comparing two clocks."""

import time
from collections.abc import Callable, Iterable
from datetime import datetime

from service.store.tables import JobRow

#: Of the running jobs, those whose lease ran out.
Overdue = Callable[[Iterable[JobRow]], list[JobRow]]


def overdue_at(now: datetime) -> Overdue:
    """By the end that the lease itself names: for whoever knows that one clock has written it and reads it."""
    return lambda running: [row for row in running if row.lease_expires_at is not None and row.lease_expires_at < now]


class LeaseWatch:
    """A lease ran out when it has stood unrenewed for ``lease_seconds`` on this process's own stopwatch.

    A worker or a sweep whose clock is wrong, or jumps, then neither loses a job that it works on nor keeps one that it
    does not. A process that starts must first look at a lease for so long.
    """

    def __init__(self, lease_seconds: float, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._lease_seconds = lease_seconds
        self._stopwatch = stopwatch
        self._seen_at: dict[tuple[str, int, datetime | None], float] = {}

    def __call__(self, running: Iterable[JobRow]) -> list[JobRow]:
        """Look at all running jobs; to be called often, compared with ``lease_seconds``."""
        now = self._stopwatch()
        found = {(row.id, row.fencing_token, row.lease_expires_at): row for row in running}
        self._seen_at = {lease: self._seen_at.get(lease, now) for lease in found}
        return [row for lease, row in found.items() if now - self._seen_at[lease] > self._lease_seconds]
