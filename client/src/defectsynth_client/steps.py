"""What a client does, without doing it: a plan yields steps and is told what came of each.

A plan is a generator. It yields ``Send`` and ``Stream`` and is sent the answer (or has ``httpx.TransportError`` thrown
into it), or it yields ``Pause``. All that this package knows of the service is in plans; the two clients only walk
them, one with threads and one with ``asyncio``. Tests walk them with neither.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol, TypeVar

import httpx

T = TypeVar("T")
File = tuple[str, IO[bytes] | bytes, str]


@dataclass(frozen=True)
class Form:
    """A multipart body: text fields, and files as (field, (filename, content, media type))."""

    fields: Mapping[str, str | list[str]]
    files: Sequence[tuple[str, File]]


@dataclass(frozen=True)
class Request:
    """One request, without the service's address and the key. ``read_seconds``: how long the answer may pause."""

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    form: Form | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    read_seconds: float | None = None

    @property
    def may_repeat(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method != "POST" or "Idempotency-Key" in self.headers


class Sink(Protocol):
    """Where an answer's body goes, piece by piece, over as many requests as it takes."""

    def headers(self) -> Mapping[str, str]:
        """What the next request says of what is here already."""
        ...

    def begin(self, answer: httpx.Response) -> bool:
        """Whether the body of this answer, which is no error, is wanted at all."""
        ...

    def take(self, piece: bytes) -> bool:
        """The next piece; False ends the reading."""
        ...


@dataclass(frozen=True)
class Send:
    """Send a request and read its answer whole."""

    request: Request


@dataclass(frozen=True)
class Stream:
    """Send a request and pass its answer's body to a sink; the body of an error is read whole instead."""

    request: Request
    sink: Sink


@dataclass(frozen=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


Step = Send | Stream | Pause
Plan = Generator[Step, httpx.Response | None, T]


def sent(step: Send | Stream) -> Plan[httpx.Response]:
    """The answer to one request. Raises ``httpx.TransportError``."""
    answer = yield step
    assert answer is not None, "whoever walks a plan answers its requests"
    return answer
