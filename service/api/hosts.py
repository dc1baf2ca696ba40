"""Which names this service answers to.

A page on the internet may have its own name resolve to 127.0.0.1 (DNS rebinding). To a browser that page and a service
on this machine are then one origin, and where no key is asked for only the name in ``Host`` tells them apart.
"""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problems import of_error, problem_response
from service.errors import HostUnknown
from service.logs import get_logger
from service.settings import Settings, is_loopback

_log = get_logger()
#: A name or an address of version 4, or one of version 6 in brackets; then perhaps a port.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+?))\.?(?::\d{1,5})?")


class KnownHosts:
    """Refuses requests that were sent to another name; loopback's own names are always known.

    A request without ``Host`` is let through: browsers, which alone can be led astray, send it always.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._known = settings.host_names
        self._any = settings.demands_keys and not settings.allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or self._any:
            await self._app(scope, receive, send)
            return
        other = [told for told in Headers(scope=scope).getlist("host") if not self._is_known(told)]
        if not other:
            await self._app(scope, receive, send)
            return
        error = HostUnknown(f"this service is not called {other[0][:100]!r}")
        _log.info("request.refused", code=error.code, status=error.status, detail=error.detail)
        await problem_response(of_error(error, scope["state"]["request_id"]))(scope, receive, send)

    def _is_known(self, told: str) -> bool:
        matched = _HOST.fullmatch(told)
        name = (matched[1] or matched[2]).lower() if matched is not None else ""
        return name in self._known or is_loopback(name)
