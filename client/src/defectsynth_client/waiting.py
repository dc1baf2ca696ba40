"""Waiting for work: its jobs are followed until each has ended.

Asking is cheap (304 while nothing changed), survives everything, and is what counts. Where one job is left and the
service streams its events, these come in between, so that progress is seen as it happens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx

from defectsynth_client.calls import Reading
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
#: Heartbeats come more often than this; a stream that is silent for longer is dead.
_SILENCE_SECONDS = 60.0


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
        ended = yield from self._looked_at_again(following.jobs[self.work.id] if self._is_job else None, core)
        if self.must_succeed and ended.state is not State.SUCCEEDED:
            raise WorkFailed(ended)
        return ended

    @property
    def _is_job(self) -> bool:
        return isinstance(self.work, Job)

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
        timeout = wait.timeout_seconds
        self._give_up_at = core.retries.clock() + timeout if timeout is not None else float("inf")
        self.jobs = {job.id: job for job in wait.work.all_jobs}

    def to_the_end(self) -> Plan[None]:
        for job in self.jobs.values():
            self._tell(job)
        while waiting := self._unfinished():
            if len(waiting) == 1 and self._streams and "events" in waiting[0].links:
                yield from self._streamed(waiting[0])
            pauses = []
            for job in self._unfinished():
                pauses.append((yield from self._asked(job)))
            if self._unfinished():
                yield Pause(self._bounded(min(pauses)))

    def _unfinished(self) -> Sequence[Job]:
        return [job for job in self.jobs.values() if not job.state.is_final]

    def _streamed(self, job: Job) -> Plan[None]:
        """As long as events come. Whatever goes wrong, this wait asks from then on."""
        request = Request("GET", job.links["events"], read_seconds=_SILENCE_SECONDS)
        events = JobEvents(self._seen, lambda: self._core.retries.clock() < self._give_up_at)
        try:
            answer = yield from sent(Stream(request, events))
        except httpx.TransportError:
            self._streams = False
            return
        self._streams = not answer.is_error

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
        if self.jobs[job.id] != job:
            self.jobs[job.id] = job
            self._tell(job)

    def _tell(self, job: Job) -> None:
        if self._wait.on_progress is not None:
            self._wait.on_progress(job)
