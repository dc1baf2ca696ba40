"""What can go wrong, and what a caller is told about it.

::

    DefectsynthError
    ├── Unreachable        no answer, however often it was tried
    ├── ApiError           the service answered with a problem: code, field, remedy, request id
    │   ├── NotAllowed     401, 403  no key, a wrong one, or one without the scope
    │   ├── NotFound       404       unknown, or another tenant's
    │   │   └── Gone       410       it was there, and was deleted
    │   ├── Conflict       409       the right request in the wrong state
    │   ├── Refused        413, 415, 422 and every other 4xx: the request must be changed
    │   ├── LimitReached   429       the queue is full, or the key has had its share
    │   └── ServiceFailed  5xx       the service's own trouble
    ├── AnswerUnreadable   an answer that this version of the client does not know
    ├── WorkFailed         a job that was waited for failed, or was canceled
    ├── WaitedTooLong      it had not ended in the time that the caller gave
    └── DownloadDamaged    the bytes that came are not the bytes that were announced
"""

import json
from collections.abc import Sequence

import httpx
from pydantic import ValidationError

from defectsynth_client.models import JobFailure, Problem, RefusedImage, Work


class DefectsynthError(Exception):
    """The root: whoever catches it catches everything that this package raises on purpose."""


class Unreachable(DefectsynthError):
    """Nobody answered."""


class AnswerUnreadable(DefectsynthError):
    """The service answered something that this version of the client does not know."""


class DownloadDamaged(DefectsynthError):
    """The downloaded bytes do not have the announced SHA-256."""


class WaitedTooLong(DefectsynthError):
    """The work had not ended in time; it goes on, and can be waited for again."""


class WorkFailed(DefectsynthError):
    """Work ended otherwise than well; ``work`` is all of it as it ended, what succeeded included."""

    def __init__(self, work: Work) -> None:
        self.work = work
        told = "; ".join(f"{name}: {one.message} {one.remedy}" for name, one in self.failures.items())
        super().__init__(f"{work.id} {work.state}{f' ({told})' if told else ''}")

    @property
    def failures(self) -> dict[str, JobFailure]:
        """Why, class by class; empty for what was canceled."""
        return {job.class_name: job.failure for job in self.work.all_jobs if job.failure is not None}


class ApiError(DefectsynthError):
    """A problem that the service told (RFC 9457). ``code`` is stable; ``remedy`` says what to do about it."""

    def __init__(self, status: int, problem: Problem, retry_after_seconds: float | None = None) -> None:
        self.status = status
        self.code = problem.code
        self.title = problem.title
        self.detail = problem.detail
        self.field = problem.field
        self.remedy = problem.remedy
        self.request_id = problem.request_id
        self.refused: Sequence[RefusedImage] = problem.refused or ()
        self.retry_after_seconds = retry_after_seconds
        super().__init__(_sentence(problem))


class NotAllowed(ApiError):
    """No key, a wrong one, or one that may not do this."""


class NotFound(ApiError):
    """Unknown, or another tenant's: the two look the same."""


class Gone(NotFound):
    """It was there, and was deleted."""


class Conflict(ApiError):
    """The right request in the wrong state."""


class Refused(ApiError):
    """The request cannot be accepted as it is."""


class LimitReached(ApiError):
    """The queue is full, or the key or tenant has had its share; ``retry_after_seconds`` says when to come again."""


class ServiceFailed(ApiError):
    """The service has trouble of its own."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict, 410: Gone, 429: LimitReached,
}  # fmt: skip


def error_of(answer: httpx.Response) -> ApiError:
    """What an answer of 400 or above means; one of a proxy, which is no problem document, as far as it can be told."""
    kind = _BY_STATUS.get(answer.status_code, ServiceFailed if answer.status_code >= 500 else Refused)
    return kind(answer.status_code, _problem_of(answer), retry_after_seconds(answer))


def retry_after_seconds(answer: httpx.Response) -> float | None:
    """When the service wants to be asked again; a date, which no defectsynth sends, counts as nothing said."""
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else None


def _problem_of(answer: httpx.Response) -> Problem:
    try:
        return Problem.model_validate(json.loads(answer.content))
    except (ValueError, ValidationError):
        text = answer.text.strip()[:300] if answer.headers.get("content-type", "").startswith("text/plain") else ""
        return Problem(
            title=answer.reason_phrase or "Error",
            code=f"http_{answer.status_code}",
            detail=text or f"{answer.request.method} {answer.request.url.path} was answered {answer.status_code}",
            remedy="This is no answer of defectsynth: look at the URL, and at what stands between (a proxy?).",
            request_id=answer.headers.get("X-Request-ID"),
        )


def _sentence(problem: Problem) -> str:
    told = f"{problem.title}: {problem.detail}".rstrip(".")
    remedy = f" {problem.remedy}" if problem.remedy else ""
    request = f" (request {problem.request_id})" if problem.request_id else ""
    return f"{told}.{remedy}{request}"
