"""``Client`` and ``AsyncClient``: the same operations, blocking and awaited."""

import ssl
from types import TracebackType
from typing import Self, TypeVar

import httpx

from defectsynth_client.connection import Connection
from defectsynth_client.drivers import AsyncDriver, Core, SyncDriver
from defectsynth_client.models import Work
from defectsynth_client.operations import Operations
from defectsynth_client.retrying import Retries
from defectsynth_client.waiting import Progressed, Waiting

W = TypeVar("W", bound=Work)
_TIMEOUT_SECONDS = 60.0


class Client(Operations, SyncDriver):
    """One service. Use it in a ``with`` block, or ``close`` it.

    ``url``: else ``DEFECTSYNTH_URL``, else this machine's port 8000. ``key``: else ``DEFECTSYNTH_API_KEY``.
    ``retries``: for how long passing failures are tried again.
    ``verify``: an SSL context, for certificates of a plant's own.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        retries: Retries | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        connection = Connection.of(url, key, timeout_seconds, verify)
        super().__init__(connection, Core(retries or Retries()), transport)

    def wait(
        self,
        work: W,
        on_progress: Progressed | None = None,
        *,
        timeout_seconds: float | None = None,
        must_succeed: bool = True,
    ) -> W:
        """What ``work`` has become when its jobs have ended; ``on_progress`` is told of each job whenever it changes.

        Raises ``WorkFailed`` (unless it need not succeed) and ``WaitedTooLong``; the work itself goes on either way.
        """
        return self.run(Waiting(work, on_progress, timeout_seconds, must_succeed).plan)

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close connections."""
        self.close()

    def __repr__(self) -> str:
        """Without the key."""
        return f"Client({self._connection.url!r})"


class AsyncClient(Operations, AsyncDriver):
    """One service, awaited. Use it in an ``async with`` block, or ``aclose`` it; arguments are those of ``Client``."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        retries: Retries | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        connection = Connection.of(url, key, timeout_seconds, verify)
        super().__init__(connection, Core(retries or Retries()), transport)

    async def wait(
        self,
        work: W,
        on_progress: Progressed | None = None,
        *,
        timeout_seconds: float | None = None,
        must_succeed: bool = True,
    ) -> W:
        """As ``Client.wait``; ``on_progress`` is a plain function here, too."""
        return await self.run(Waiting(work, on_progress, timeout_seconds, must_succeed).plan)

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close connections."""
        await self.aclose()

    def __repr__(self) -> str:
        """Without the key."""
        return f"AsyncClient({self._connection.url!r})"
