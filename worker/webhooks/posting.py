"""One POST to a URL that a client named: to an address that was judged, in bounded time, reading only the status.

The time is bounded as a whole, which a client with a timeout for each read does not do: a receiver that sends a byte
now and then would hold it for ever. Hence an event loop for each attempt, which can be left at any point.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from service.contracts.webhooks import DeliveryError
from service.errors import HostUnresolved, UrlRefused
from service.outbound import Address, AllowList, Resolve, Target, judged_addresses, parse_url


@dataclass(frozen=True)
class Answer:
    """How an attempt ended: with a status, or with an error."""

    status: int | None = None
    error: DeliveryError | None = None
    retry_after_seconds: float | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver has the event. A redirect is not followed, and so is no acceptance."""
        return self.status is not None and 200 <= self.status < 300


#: Post this body with these headers to this URL.
Post = Callable[[str, Mapping[str, str], bytes], Answer]


@dataclass(frozen=True)
class Poster:
    """Posts on behalf of webhooks. ``tls`` says which authorities are trusted; by default the system's are."""

    allow: AllowList
    resolve: Resolve
    tls: ssl.SSLContext
    connect_seconds: float
    timeout_seconds: float

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post, and tell how it ended; raises nothing that a receiver or a name server could cause."""
        give_up_at = time.monotonic() + self.timeout_seconds
        try:
            target = parse_url(url)
            addresses = judged_addresses(target, self.allow, self.resolve)
        except HostUnresolved:
            return Answer(error=DeliveryError.HOST_UNRESOLVED)
        except UrlRefused:
            return Answer(error=DeliveryError.ADDRESS_DENIED)
        seconds_left = give_up_at - time.monotonic()
        if seconds_left <= 0:  # A name server took it all. An attempt must be over when its claim is.
            return Answer(error=DeliveryError.TIMED_OUT)
        return asyncio.run(self._post(target, addresses, headers, body, seconds_left))

    async def _post(
        self, target: Target, addresses: list[Address], headers: Mapping[str, str], body: bytes, seconds_left: float
    ) -> Answer:
        try:
            async with asyncio.timeout(seconds_left), self._client() as client:
                for address in addresses[:-1]:
                    try:
                        return await _post_to(client, target, address, headers, body)
                    except (httpx.ConnectError, httpx.ConnectTimeout):  # Nothing was sent yet.
                        continue
                return await _post_to(client, target, addresses[-1], headers, body)
        except (TimeoutError, httpx.TimeoutException):
            return Answer(error=DeliveryError.TIMED_OUT)
        except httpx.ConnectError as error:
            is_tls = any(isinstance(one, ssl.SSLError) for one in _causes(error))
            return Answer(error=DeliveryError.TLS_FAILED if is_tls else DeliveryError.CONNECTION_FAILED)
        except (httpx.HTTPError, httpx.InvalidURL):
            return Answer(error=DeliveryError.ANSWER_UNREADABLE)

    def _client(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(self.timeout_seconds, connect=self.connect_seconds)
        # trust_env: a proxy of the environment would resolve the name anew, and see what is sent.
        return httpx.AsyncClient(verify=self.tls, trust_env=False, follow_redirects=False, timeout=timeout)


async def _post_to(
    client: httpx.AsyncClient, target: Target, address: Address, headers: Mapping[str, str], body: bytes
) -> Answer:
    """To one address, asking it for the name's certificate; the answer's body is left unread."""
    named = {"Host": target.authority, "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close", **headers}
    asked = {"sni_hostname": target.host}
    async with client.stream("POST", target.url_at(address), content=body, headers=named, extensions=asked) as answer:
        return Answer(answer.status_code, retry_after_seconds=_retry_after(answer.headers.get("retry-after", "")))


def _retry_after(text: str) -> float | None:
    """Seconds, from either form of the header; None where it is missing or makes no sense."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
