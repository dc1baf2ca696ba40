"""One operation as a value: the request, and how its answer is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from defectsynth_client.drivers import Core
from defectsynth_client.errors import AnswerUnreadable
from defectsynth_client.retrying import answered
from defectsynth_client.steps import Plan, Request, Send

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One operation."""

    request: Request
    read: Callable[[httpx.Response], T]

    def plan(self, core: Core) -> Plan[T]:
        """Send it, and again where that may help. Raises ``ApiError``, ``Unreachable`` and ``AnswerUnreadable``."""
        answer = yield from answered(Send(keyed(self.request, core)), core.retries)
        return self.read(answer)

    def after(self, cursor: str) -> "Call[T]":
        """The same list, from the next page on."""
        return replace(self, request=replace(self.request, params={**self.request.params, "cursor": cursor}))


def keyed(request: Request, core: Core) -> Request:
    """With an Idempotency-Key where it is a POST: however often it is sent, the work is done once."""
    if request.method != "POST" or "Idempotency-Key" in request.headers:
        return request
    return replace(request, headers={**request.headers, "Idempotency-Key": core.new_key()})


@dataclass(frozen=True)
class Reading(Generic[M]):
    """Reads an answer as ``model``."""

    model: type[M]

    def __call__(self, answer: httpx.Response) -> M:
        """Raises ``AnswerUnreadable``."""
        try:
            return self.model.model_validate_json(answer.content)
        except ValidationError as error:
            told = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in told["loc"]) or "the whole body"
            raise AnswerUnreadable(
                f"{answer.request.method} {answer.request.url.path} was answered {answer.status_code} with what is no "
                f"{self.model.__name__}: {told['msg']} ({where}). Is the URL right, and the client as new as the "
                "service?"
            ) from error


def at(*parts: str) -> str:
    """A path of the API; whatever a part holds, it stays one part."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def get(path: str, model: type[M], **params: str | int | None) -> Call[M]:
    """A GET with the parameters that say something."""
    return Call(Request("GET", path, params={k: v for k, v in params.items() if v is not None}), Reading(model))


def post(path: str, model: type[M], body: Mapping[str, object] | None, idempotency_key: str | None = None) -> Call[M]:
    """A POST with the fields of ``body`` that say something."""
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
    given = {name: value for name, value in body.items() if value is not None} if body is not None else None
    return Call(Request("POST", path, json=given, headers=headers), Reading(model))
