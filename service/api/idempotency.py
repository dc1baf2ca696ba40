"""``Idempotency-Key``: however often a client asks, the work is done once, and every answer is the first one.

The answer is written in the transaction that makes what it tells of, so that a crash at any moment leaves both or
neither. Two requests with one key at the same moment: within a process the second is told to wait (409); of two
processes the slower one finds the row, undoes its own work and gives the faster one's answer.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.api.dependencies import Parts, PartsOf, Tenant
from service.contracts.ids import TenantId
from service.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from service.queueing import Note
from service.store import idempotency
from service.store.idempotency import KeyTaken
from service.store.tables import AdaptationRow, EvaluationRow, GenerationRow, IdempotencyRow, RecognitionRow

R = TypeVar("R")
#: What has jobs.
W = TypeVar("W", AdaptationRow, GenerationRow, EvaluationRow, RecognitionRow)


@dataclass(frozen=True)
class Told:
    """How a resource that was just made is answered. ``kept``: the body without what may not be kept with it."""

    body: BaseModel
    headers: dict[str, str]
    kept: BaseModel | None = None


#: The whole body again, from what was kept of it.
Retell = Callable[[Session, str], BaseModel]


class _InFlight:
    """Keys that this process is answering now."""

    def __init__(self) -> None:
        self._keys: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def only(self, tenant_id: TenantId, key: str) -> Iterator[None]:
        """Hold the key. Raises ``IdempotencyKeyInUse``."""
        with self._lock:
            if (tenant_id, key) in self._keys:
                raise IdempotencyKeyInUse("a request with this Idempotency-Key is being answered")
            self._keys.add((tenant_id, key))
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard((tenant_id, key))


_IN_FLIGHT = _InFlight()


@dataclass(frozen=True)
class Once:
    """One request's key, or none: then everything is done each time."""

    parts: Parts
    tenant_id: TenantId
    path: str
    key: str | None

    def answer(
        self,
        payload: BaseModel | str,
        status: int,
        make: Callable[[Note[R]], object],
        tell: Callable[[Session, R], Told],
        retell: Retell | None = None,
    ) -> Response:
        """Make a resource and tell of it, or tell again. ``payload``: the request, or a digest of it.

        ``retell`` completes what was ``kept``, where that is not the whole body.
        Raises ``IdempotencyKeyReused``, ``IdempotencyKeyInUse`` and what ``make`` raises.
        """
        if self.key is None:
            return self._made("", "", status, make, tell)
        digest = _digest(self.path, payload)
        with _IN_FLIGHT.only(self.tenant_id, self.key):
            again = self._again(self.key, digest, retell)
            if again is not None:
                return again
            try:
                return self._made(self.key, digest, status, make, tell)
            except KeyTaken:
                again = self._again(self.key, digest, retell)
                assert again is not None, "the transaction that took the key has been committed"
                return again

    def accept(
        self,
        request: BaseModel,
        path: str,
        retry_after_seconds: int,
        make: Callable[[Note[W]], object],
        view: Callable[[Session, TenantId, W], BaseModel],
    ) -> Response:
        """Accept work: 202 with the ``Location`` of the resource below ``path``, and when to look at it again.

        Raises what `answer` raises.
        """

        def tell(session: Session, row: W) -> Told:
            headers = {"Location": f"{path}/{row.id}", "Retry-After": str(retry_after_seconds)}
            return Told(view(session, self.tenant_id, row), headers)

        return self.answer(request, 202, make, tell)

    def _made(
        self,
        key: str,
        digest: str,
        status: int,
        make: Callable[[Note[R]], object],
        tell: Callable[[Session, R], Told],
    ) -> Response:
        answers: list[Response] = []

        def note(session: Session, row: R) -> None:
            told = tell(session, row)
            body = told.body.model_dump_json()
            if key:
                stored = body if told.kept is None else told.kept.model_dump_json()
                kept = IdempotencyRow(
                    tenant_id=self.tenant_id, key=key, payload_sha256=digest, status=status, headers=told.headers,
                    body=stored, created_at=self.parts.clock(),
                )  # fmt: skip
                idempotency.insert(session, kept)
            answers.append(Response(body, status, told.headers, media_type="application/json"))

        make(note)
        return answers[0]

    def _again(self, key: str, digest: str, retell: Retell | None) -> Response | None:
        with self.parts.database.reading() as session:
            found = idempotency.find(session, self.tenant_id, key)
            if found is None:
                return None
            if found.payload_sha256 != digest:
                raise IdempotencyKeyReused("another request was sent with this Idempotency-Key")
            body = found.body if retell is None else retell(session, found.body).model_dump_json()
        headers = {**found.headers, "Idempotent-Replayed": "true"}
        return Response(body, found.status, headers, media_type="application/json")


def _digest(path: str, payload: BaseModel | str) -> str:
    """Of what was asked for and where; equal for equal JSON however it was written."""
    if isinstance(payload, BaseModel):
        payload = json.dumps(payload.model_dump(mode="json", exclude_unset=True), sort_keys=True)
    return hashlib.sha256(f"{path}\n{payload}".encode()).hexdigest()


async def _once(
    request: Request,
    parts: PartsOf,
    tenant: Tenant,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="Chosen by the client, new for each new request (a UUID does): with it a request may be sent "
            "again after any failure, and what it makes is made once. Known for a day.",
        ),
    ] = None,
) -> Once:
    return Once(parts, tenant, request.url.path, idempotency_key)


OnceOf = Annotated[Once, Depends(_once)]
