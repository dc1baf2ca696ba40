"""Live events of jobs: one tailer a process reads what changed and hands it to everybody who follows.

::

    record --(one query a tick, while anybody follows)--> tailer --> follower --> its client
                                                                 \\-> follower --> its client

A follower holds neither a session nor a thread: only the newest state of each of its jobs that its client has not been
sent yet. A client that reads slowly skips states and never makes the process grow.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from anyio import CapacityLimiter, to_thread

from service.api.job_views import job_view
from service.contracts.ids import JobId
from service.contracts.jobs import JobState
from service.errors import QuotaExceeded, Unavailable
from service.logs import get_logger
from service.store import jobs
from service.store.database import Database
from service.store.tables import JobRow

_log = get_logger()
#: Between two looks at the record. A worker writes its progress about as often.
TICK_SECONDS: Final = 0.3
#: Places in the queue move by what happens to other jobs, so they are counted for all at once, and less often.
PLACES_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 5.0

#: What a client can see of a job: its revision, and its place in the queue (0: not in it). As in the ETag.
Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """A job as ``GET /v1/jobs/{id}`` would answer it now; made once, whoever follows."""

    job_id: JobId
    version: Version
    is_final: bool
    json: str

    @classmethod
    def of(cls, row: JobRow, position: int | None) -> "Shown":
        """From its row."""
        told = job_view(row, position).model_dump_json()
        return cls(JobId(row.id), (row.revision, position or 0), JobState(row.state).is_final, told)


@dataclass(frozen=True, slots=True)
class Event:
    """What a client is sent; ``id`` is what it has seen then."""

    id: str
    json: str


@dataclass(frozen=True)
class Changes:
    """What a look at the record found: jobs that are not as they were known, and those that are gone."""

    shown: list[Shown]
    gone: list[JobId]


class Follower:
    """One client and the jobs it follows. For use in one event loop.

    An id is the sum of what was sent of each job: revisions only grow, so for one set of jobs equal ids mean equal
    states.
    """

    def __init__(self, now: Sequence[Shown], seen: str | None, until: float) -> None:
        self._until = until
        self._waiting: dict[JobId, Shown] = {}
        self._sent: dict[JobId, Version] = {one.job_id: one.version for one in now}
        self._unfinished = {one.job_id for one in now if not one.is_final}
        self._woken = asyncio.Event()
        self._is_ended = False
        if seen != self.id:
            self._sent = dict.fromkeys(self._sent, (0, 0))
            self._waiting = {one.job_id: one for one in now}

    @property
    def id(self) -> str:
        """Of the last event; of one job it is the ETag of its answer."""
        return "-".join(str(sum(part)) for part in zip(*self._sent.values(), strict=True))

    @property
    def has_nothing_to_come(self) -> bool:
        """Whether all has been sent, and every job is final."""
        return not self._waiting and not self._unfinished

    def offer(self, shown: Shown) -> None:
        """A newer state, in the place of one that was not sent yet."""
        if shown.version[0] < self._sent[shown.job_id][0] or shown.version == self._sent[shown.job_id]:
            return
        self._waiting[shown.job_id] = shown
        if shown.is_final:
            self._unfinished.discard(shown.job_id)
        self._woken.set()

    def lose(self, job_id: JobId) -> None:
        """The job was deleted: nothing more comes of it."""
        self._unfinished.discard(job_id)
        self._woken.set()

    def end(self) -> None:
        """Nothing more is sent: the client comes again, to another process or after a restart."""
        self._is_ended = True
        self._woken.set()

    async def events(self) -> AsyncIterator[Event]:
        """Until every job is final, or the time is up."""
        while not self._is_ended:
            while self._waiting:
                shown = self._waiting.pop(next(iter(self._waiting)))
                self._sent[shown.job_id] = shown.version
                yield Event(self.id, shown.json)
            if self.has_nothing_to_come:
                return
            self._woken.clear()
            try:
                async with asyncio.timeout(self._until - time.monotonic()):
                    await self._woken.wait()
            except TimeoutError:
                return


@dataclass(frozen=True)
class StreamLimits:
    """Streams open at once: of the process, and of one key (of the tenant where no key is asked for)."""

    max_open: int
    max_open_per_key: int
    seconds: float


class Streams:
    """All followers of a process. Everything here runs in the event loop; ``read`` alone runs in a thread."""

    def __init__(
        self,
        read: Callable[[Mapping[JobId, Version], bool], Changes],
        limits: StreamLimits,
        count: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._read = read
        self._limits = limits
        self._count = count
        self._followers: dict[Follower, str] = {}
        self._by_job: dict[JobId, set[Follower]] = {}
        self._known: dict[JobId, Shown] = {}
        self._tailer: asyncio.Task[None] | None = None
        self._is_closed = False

    def check(self, who: str) -> None:
        """Whether ``who`` may follow once more. Raises ``QuotaExceeded`` and ``Unavailable``."""
        if self._is_closed:
            raise Unavailable("the service is going down")
        if len(self._followers) >= self._limits.max_open:
            raise Unavailable(f"{self._limits.max_open} streams of events are open (max_event_streams)")
        if Counter(self._followers.values())[who] >= self._limits.max_open_per_key:
            most = self._limits.max_open_per_key
            raise QuotaExceeded(f"{most} streams of events of one key may be open", "max_event_streams_per_key", 5.0)

    @contextmanager
    def following(self, who: str, now: Sequence[Shown], seen: str | None) -> Iterator[Follower]:
        """Follow jobs, from their states ``now``, or from a later one that is known; ``seen``: the client's last id.

        Raises what `check` raises.
        """
        self.check(who)
        newest = [max(one, self._known.get(one.job_id, one), key=lambda shown: shown.version[0]) for one in now]
        follower = Follower(newest, seen, time.monotonic() + self._limits.seconds)
        self._followers[follower] = who
        for one in newest:
            self._by_job.setdefault(one.job_id, set()).add(follower)
        self._publish(
            Changes(newest, [])
        )  # What this look found is news to the others, and no look will find it again.
        self._count(len(self._followers))
        if self._tailer is None or self._tailer.done():
            self._tailer = asyncio.get_running_loop().create_task(self._tail())
        try:
            yield follower
        finally:
            self._leave(follower, [one.job_id for one in now])

    def _leave(self, follower: Follower, job_ids: Sequence[JobId]) -> None:
        del self._followers[follower]
        self._count(len(self._followers))
        for job_id in job_ids:
            self._by_job[job_id].discard(follower)
            if not self._by_job[job_id]:
                del self._by_job[job_id]
                del self._known[job_id]

    def close(self) -> None:
        """End every stream and take no new one; what is open would hold up the process's end."""
        self._is_closed = True
        for follower in self._followers:
            follower.end()
        if self._tailer is not None:
            self._tailer.cancel()

    async def _tail(self) -> None:
        """Look while anybody follows. The thread is one of its own: requests may wait for theirs."""
        limiter, places_at = CapacityLimiter(1), 0.0
        while self._followers:
            await asyncio.sleep(TICK_SECONDS)
            unfinished = {job_id: one.version for job_id, one in self._known.items() if not one.is_final}
            if not unfinished:
                continue
            with_places = time.monotonic() >= places_at
            places_at = time.monotonic() + PLACES_SECONDS if with_places else places_at
            try:
                self._publish(await to_thread.run_sync(self._read, unfinished, with_places, limiter=limiter))
            except Exception as error:  # Whatever it is, streams stay open meanwhile, and clients hear the heartbeat.
                _log.warning("streams.record_unread", error=str(error) or type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    def _publish(self, changes: Changes) -> None:
        for one in changes.shown:
            followers = self._by_job.get(one.job_id, set())
            if followers:
                self._known[one.job_id] = one
            for follower in followers:
                follower.offer(one)
        for job_id in changes.gone:
            for follower in self._by_job.get(job_id, set()):
                follower.lose(job_id)


def read_changes(database: Database) -> Callable[[Mapping[JobId, Version], bool], Changes]:
    """Compares what is known of jobs with the record: one query where nothing has changed.

    Places in the queue are looked at where that is asked for and some of the jobs are in it.
    """

    def read(known: Mapping[JobId, Version], with_places: bool) -> Changes:
        with database.reading() as session:
            revisions = jobs.revisions(session, list(known))
            rows = jobs.by_ids(session, [one for one, now in revisions.items() if now != known[one][0]])
            places = {job_id: place for job_id, (_, place) in known.items()}
            is_any_back = any(row.state == JobState.QUEUED for row in rows)
            if is_any_back or (with_places and any(places.values())):
                queue = jobs.queue_places(session)
                moved = [
                    one for one, now in revisions.items() if now == known[one][0] and queue.get(one, 0) != places[one]
                ]
                rows += jobs.by_ids(session, moved)
                places = queue
            shown = [Shown.of(row, places.get(JobId(row.id)) if row.state == JobState.QUEUED else None) for row in rows]
        return Changes(shown, [job_id for job_id in known if job_id not in revisions])

    return read
