"""Waiting for work: its jobs are followed until each has ended.

Asking is cheap (304 while nothing changed), survives everything, and is what counts. Where the service streams events,
these come in between, so that progress is seen as it happens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx

from defectsynth_client.calling import Reading
from defectsynth_client.drivers import Core
from defectsynth_client.errors import WaitedTooLong, WorkFailed, retry_after_seconds
from defectsynth_client.events import JobEvents
from defectsynth_client.models import Job, State, Work
from defectsynth_client.retrying import answered
from defectsynth_client.steps import Pause, Plan, Request, Send, Stream, sent

W = TypeVar("W", bound=Work)
#: Told of each job at first, and whenever it has changed.
Progressed = Callable[[Job], object]
_POLL_SECONDS = 1.0
#: A heartbeat comes every 15 seconds; a stream that is silent for longer than this is dead.
_SILENCE_SECONDS = 40.0


@dataclass(frozen=True)
class Waiting(Generic[W]):
    """One wait. ``timeout_seconds``: None waits as long as it takes."""

    work: W
    on_progress: Progressed | None = None
    timeout_seconds: float | None = None
    must_succeed: bool = True

    def plan(self, core: Core) -> Plan[W]:
        """Follow it. Raises ``WaitedTooLong``, ``WorkFailed`` where it must succeed, and what asking raises."""
        following = _Following(self, core)
        yield from following.to_the_end()
        ended = yield from self._looked_at_again(following.jobs.get(self.work.id), core)
        if self.must_succeed and ended.state is not State.SUCCEEDED:
            raise WorkFailed(ended)
        return ended

    def _looked_at_again(self, job: Job | None, core: Core) -> Plan[W]:
        if job is not None and isinstance(job, type(self.work)):
            return job
        answer = yield from answered(Send(Request("GET", self.work.links["self"])), core.retries)
        return Reading(type(self.work))(answer)


class _Following:
    """The jobs of one wait, as they were last seen."""

    def __init__(self, wait: Waiting[W], core: Core) -> None:
        self._wait = wait
        self._core = core
        self._etags: dict[str, str] = {}
        self._streams = True
        self._sink = JobEvents(self._seen, self._goes_on)
        timeout = wait.timeout_seconds
        self._give_up_at = core.retries.clock() + timeout if timeout is not None else float("inf")
        self.jobs = {job.id: job for job in wait.work.all_jobs}

    def to_the_end(self) -> Plan[None]:
        for job in self.jobs.values():
            self._tell(job)
        while self._unfinished():
            if self._streams:
                yield from self._streamed()
            pauses = []
            for job in self._unfinished():
                pauses.append((yield from self._asked(job)))
            if self._unfinished():
                yield Pause(self._bounded(min(pauses)))

    def _unfinished(self) -> Sequence[Job]:
        return [job for job in self.jobs.values() if not job.state.is_final]

    def _streamed(self) -> Plan[None]:
        """As long as events come. Where they cannot be had, or break off, this wait asks from then on."""
        try:
            answer = yield from sent(Stream(self._events(), self._sink))
        except httpx.TransportError:
            self._streams = False
            return
        self._streams = not answer.is_error

    def _events(self) -> Request:
        work = self._wait.work
        if isinstance(work, Job):
            return Request("GET", f"{work.links['self']}/events", read_seconds=_SILENCE_SECONDS)
        return Request("GET", "/v1/events", params={"resource_id": work.id}, read_seconds=_SILENCE_SECONDS)

    def _goes_on(self) -> bool:
        return bool(self._unfinished()) and self._core.retries.clock() < self._give_up_at

    def _asked(self, job: Job) -> Plan[float]:
        """Look at it; the seconds after which to look again."""
        headers = {"If-None-Match": self._etags[job.id]} if job.id in self._etags else {}
        request = Request("GET", job.links["self"], headers=headers)
        answer = yield from answered(Send(request), self._core.retries)
        if answer.status_code != httpx.codes.NOT_MODIFIED:
            self._etags[job.id] = answer.headers.get("ETag", "")
            self._seen(Reading(Job)(answer))
        return retry_after_seconds(answer) or _POLL_SECONDS

    def _bounded(self, seconds: float) -> float:
        left = self._give_up_at - self._core.retries.clock()
        if left <= 0:
            told = ", ".join(str(job) for job in self._unfinished())
            raise WaitedTooLong(f"{self._wait.work.id} has not ended in {self._wait.timeout_seconds} s ({told})")
        return min(seconds, left)

    def _seen(self, job: Job) -> None:
        if job.id in self.jobs and self.jobs[job.id] != job:
            self.jobs[job.id] = job
            self._tell(job)

    def _tell(self, job: Job) -> None:
        if self._wait.on_progress is not None:
            self._wait.on_progress(job)
