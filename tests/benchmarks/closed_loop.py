"""A client that asks again as soon as it is answered, over some kept connections: what a server can do at most."""

import asyncio
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Rate:
    """Answers a second, and what each took of the server's processors."""

    per_second: float
    cpu_us: float


def rate(port: int, pid: int, path: str, headers: dict[str, str], status: int, seconds: float, clients: int) -> Rate:
    """Of one request repeated by so many ``clients`` at once. Every answer must have the ``status``."""
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{told}\r\n".encode()
    server = psutil.Process(pid)
    cpu, began = _cpu_seconds(server), time.perf_counter()
    number = asyncio.run(_asked(port, request, b"HTTP/1.1 %d " % status, seconds, clients))
    return Rate(number / (time.perf_counter() - began), 1e6 * (_cpu_seconds(server) - cpu) / number)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _asked(port: int, request: bytes, status: bytes, seconds: float, clients: int) -> int:
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    made = [_Client(request, status, until) for _ in range(clients)]
    for one in made:
        await loop.create_connection(lambda one=one: one, "127.0.0.1", port)
    return sum(await asyncio.gather(*(one.done for one in made)))


class _Client(asyncio.Protocol):
    """One connection. Answers come whole often enough that looking for their end anew is cheap."""

    def __init__(self, request: bytes, status: bytes, until: float) -> None:
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._request, self._status, self._until = request, status, until
        self._number, self._buffer = 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, ended, body = self._buffer.partition(b"\r\n\r\n")
        if not ended or len(body) < _length(head):
            return
        if not head.startswith(self._status):
            self.done.set_exception(AssertionError(head.decode()))
        self._number, self._buffer = self._number + 1, b""
        if time.perf_counter() < self._until:
            self._transport.write(self._request)
        elif not self.done.done():
            self.done.set_result(self._number)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError("the server closed the connection"))


def _length(head: bytes) -> int:
    _, _, after = head.lower().partition(b"content-length:")
    return int(after.split(b"\r\n", 1)[0]) if after else 0
