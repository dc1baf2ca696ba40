"""Plain ASGI middleware: an id for each request, and a bound on what is read of it."""

import re
import secrets
import time

from anyio import fail_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import of_error, problem_response
from service.errors import RequestTooLarge, ServiceError, UnsupportedMedia
from service.logs import bound, get_logger

_log = get_logger()
#: A body may pause this long, and must come this fast on the whole.
_PATIENCE_SECONDS = 60.0
_LEAST_BYTES_A_SECOND = 10_000
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")


class RequestIds:
    """Takes the client's ``X-Request-ID`` or makes one; it is in every log event and in the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("X-Request-ID", request_id)
                _report(scope, message["status"], time.perf_counter() - started)
            await send(message)

        with bound(request_id=request_id):
            await self._app(scope, receive, send_with_id)


def _report(scope: Scope, status: int, seconds: float) -> None:
    """Successful reads are frequent and say little: they are logged at debug level."""
    quiet = scope["method"] in ("GET", "HEAD") and status < 400
    log = _log.debug if quiet else _log.info
    log("request.done", method=scope["method"], path=scope["path"], status=status, seconds=round(seconds, 4))


class BodyLimit:
    """Refuses bodies above a limit: by their declared length at once, or while they stream in."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int, max_json_bytes: int) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes
        self._max_json_bytes = max_json_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        limit, name = self._limit(Headers(scope=scope))
        refused = _refused(Headers(scope=scope), limit, name)
        if refused is not None:
            await problem_response(of_error(refused, scope["state"]["request_id"]))(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit, name), send)

    def _limit(self, headers: Headers) -> tuple[int, str]:
        if headers.get("content-type", "").lower().startswith("multipart/"):
            return self._max_upload_bytes, "max_request_bytes"
        return self._max_json_bytes, "max_json_bytes"


def _refused(headers: Headers, limit: int, name: str) -> ServiceError | None:
    """What the headers alone are refused for. A compressed body is, because its size says nothing of what it holds."""
    length, coding = headers.get("content-length", ""), headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        told = f"the body has the content encoding {coding[:40]!r}"
        return UnsupportedMedia(told, remedy="Send the body as it is, without 'Content-Encoding'.")
    if length.isdecimal() and int(length) > limit:
        return RequestTooLarge(f"the request has {length} bytes and {limit} are allowed ({name})")
    return None


def _counted(receive: Receive, limit: int, name: str) -> Receive:
    """Pass the body on until it has too many bytes, or takes too long: a client that trickles holds a connection and a
    spooled file. An HTTPException is what FastAPI lets through its parser."""
    num_bytes, began, has_ended = 0, time.monotonic(), False

    async def counted() -> Message:
        nonlocal num_bytes, has_ended
        if has_ended:  # what follows is the client going away, whenever it does
            return await receive()
        try:
            with fail_after(began + _PATIENCE_SECONDS + num_bytes / _LEAST_BYTES_A_SECOND - time.monotonic()):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, "the body came too slowly, or not at all") from error
        has_ended = not message.get("more_body", False)
        num_bytes += len(message.get("body", b""))
        if num_bytes > limit:
            raise HTTPException(413, f"the request has more than the {limit} bytes that are allowed ({name})")
        return message

    return counted
