"""When a request is sent again: where it can help and can do no harm, and for a bounded time in all."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from defectsynth_client.errors import ApiError, Unreachable, error_of
from defectsynth_client.steps import Pause, Plan, Send, Stream, sent

#: Nothing of the request has left this machine.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
#: Busy or away for now; 502 and 504 are a proxy's words for a service that is being restarted.
_PASSING = frozenset({429, 502, 503, 504})
_KEY_IN_USE = "idempotency_key_in_use"


@dataclass(frozen=True)
class Retries:
    """``total_seconds``: after so long the last error is raised; 0 tries once."""

    total_seconds: float = 60.0
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 10.0
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random

    def pause_seconds(self, attempt: int, asked_seconds: float | None) -> float:
        """Twice as long each time, half of it drawn so that many clients do not come back at once; never earlier than
        the service asked for."""
        longest = min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** min(attempt, 30))
        return max(longest * (0.5 + 0.5 * self.draw()), asked_seconds or 0.0)


def answered(step: Send | Stream, retries: Retries) -> Plan[httpx.Response]:
    """The answer, below 400. Raises ``ApiError`` and ``Unreachable``."""
    give_up_at = retries.clock() + retries.total_seconds
    attempt = 0
    while True:
        outcome = yield from _attempted(step)
        if isinstance(outcome, httpx.Response):
            return outcome
        asked_seconds = outcome.retry_after_seconds if isinstance(outcome, ApiError) else None
        pause_seconds = retries.pause_seconds(attempt, asked_seconds)
        if not _may_pass(outcome, step) or retries.clock() + pause_seconds > give_up_at:
            raise outcome
        yield Pause(pause_seconds)
        attempt += 1


def _attempted(step: Send | Stream) -> Plan[httpx.Response | ApiError | Unreachable]:
    try:
        answer = yield from sent(step)
    except httpx.TransportError as error:
        told = str(error) or type(error).__name__
        outcome = Unreachable(f"the service does not answer {step.request.method} {step.request.path} ({told})")
        outcome.__cause__ = error
        return outcome
    return error_of(answer) if answer.is_error else answer


def _may_pass(error: ApiError | Unreachable, step: Send | Stream) -> bool:
    if isinstance(error, Unreachable):
        return step.request.may_repeat or isinstance(error.__cause__, _NEVER_SENT)
    return step.request.may_repeat and (error.status in _PASSING or error.code == _KEY_IN_USE)
