"""The two that walk plans: one blocks its thread, the other awaits. All of their difference is in this file."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import httpx

from defectsynth_client.connection import Connection
from defectsynth_client.models import Page
from defectsynth_client.retrying import Retries
from defectsynth_client.steps import Pause, Plan, Request, Send, Step, Stream

if TYPE_CHECKING:
    from defectsynth_client.calling import Call

T = TypeVar("T")


def _new_key() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Core:
    """What every plan may use. ``new_key`` makes an Idempotency-Key for each POST."""

    retries: Retries = field(default_factory=Retries)
    new_key: Callable[[], str] = _new_key


class SyncDriver:
    """Walks plans in the calling thread. One may be shared by threads."""

    def __init__(self, connection: Connection, core: Core, transport: httpx.BaseTransport | None) -> None:
        self._connection = connection
        self._core = core
        self._http = httpx.Client(
            base_url=connection.url, headers=connection.headers, verify=connection.verify, transport=transport,
            trust_env=connection.trusts_environment,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Of the service."""
        return self._connection.url

    def run(self, make: Callable[[Core], Plan[T]]) -> T:
        """Walk a plan to its end."""
        plan = make(self._core)
        try:
            step = next(plan)
            while True:
                try:
                    answer = self._do(step)
                except httpx.TransportError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    def pages(self, call: "Call[Page[T]]") -> Iterator[T]:
        """Every item of a list, page by page as they are asked for."""
        while True:
            page = self.run(call.plan)
            yield from page.items
            if page.next_cursor is None:
                return
            call = call.after(page.next_cursor)

    def _do(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if isinstance(step, Send):
            return self._http.send(_built(self._http, self._connection, step.request, {}))
        return self._stream(step)

    def _stream(self, step: Stream) -> httpx.Response:
        request = _built(self._http, self._connection, step.request, step.sink.headers())
        answer = self._http.send(request, stream=True, follow_redirects=True)
        try:
            if answer.is_error:
                answer.read()
            elif step.sink.begin(answer):
                for piece in answer.iter_bytes():
                    if not step.sink.take(piece):
                        break
        finally:
            answer.close()
        return answer


class AsyncDriver:
    """Walks plans in the running ``asyncio`` loop. Files are read and written in it, a small piece at a time."""

    def __init__(self, connection: Connection, core: Core, transport: httpx.AsyncBaseTransport | None) -> None:
        self._connection = connection
        self._core = core
        self._http = httpx.AsyncClient(
            base_url=connection.url, headers=connection.headers, verify=connection.verify, transport=transport,
            trust_env=connection.trusts_environment,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Of the service."""
        return self._connection.url

    async def run(self, make: Callable[[Core], Plan[T]]) -> T:
        """Walk a plan to its end."""
        plan = make(self._core)
        try:
            step = next(plan)
            while True:
                try:
                    answer = await self._do(step)
                except httpx.TransportError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    async def pages(self, call: "Call[Page[T]]") -> AsyncIterator[T]:
        """Every item of a list, page by page as they are asked for."""
        while True:
            page = await self.run(call.plan)
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            call = call.after(page.next_cursor)

    async def _do(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if isinstance(step, Send):
            return await self._http.send(_built(self._http, self._connection, step.request, {}))
        return await self._stream(step)

    async def _stream(self, step: Stream) -> httpx.Response:
        request = _built(self._http, self._connection, step.request, step.sink.headers())
        answer = await self._http.send(request, stream=True, follow_redirects=True)
        try:
            if answer.is_error:
                await answer.aread()
            elif step.sink.begin(answer):
                async for piece in answer.aiter_bytes():
                    if not step.sink.take(piece):
                        break
        finally:
            await answer.aclose()
        return answer


def _built(
    http: httpx.Client | httpx.AsyncClient, connection: Connection, request: Request, headers: Mapping[str, str]
) -> httpx.Request:
    """As it goes out: paths are below the service's URL, also where that has a path of its own."""
    return http.build_request(
        request.method,
        request.path,
        params=request.params or None,
        json=request.json,
        data=request.form.fields if request.form is not None else None,
        files=request.form.files if request.form is not None else None,
        headers={**request.headers, **headers},
        timeout=connection.timeout(request.read_seconds),
    )
