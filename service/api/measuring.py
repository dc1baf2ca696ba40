"""Plain ASGI middleware that counts and times requests, by the template of their route and never by their path."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import ApiMetrics

#: Clients choose what stands in the place of the method.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "(other)"


class Measured:
    """Seconds are until the answer begins: a long download or a stream of events says nothing about the service."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        is_answered = False

        async def noting(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start" and not is_answered:
                is_answered = True
                self._note(scope, message["status"], time.perf_counter() - started)
            await send(message)

        self._metrics.requests_in_flight.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.requests_in_flight.dec()
            if not is_answered:  # It crashed: the answer is made further out.
                self._note(scope, 500, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        route: str = getattr(scope.get("route"), "path", _OTHER)
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(method, route).observe(seconds)
