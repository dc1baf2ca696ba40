"""The HTTP server of the API."""

import socket

import uvicorn
from fastapi import FastAPI

from service.api.dependencies import Parts


class Server(uvicorn.Server):
    """uvicorn, except that streams of events end before it waits for open answers: they would never end."""

    def __init__(self, config: uvicorn.Config, parts: Parts) -> None:
        super().__init__(config)
        self._streams = parts.streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called in the event loop, once the server is asked to stop."""
        self._streams.close()
        await super().shutdown(sockets)


def server_of(app: FastAPI, *, host: str = "127.0.0.1", port: int = 0, grace_seconds: int | None = None) -> Server:
    """A server of the application; ``grace_seconds``: what open answers may take at the end, None: as long as it takes.

    ``host`` and ``port`` count where it is not given sockets.
    """
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=grace_seconds
    )
    return Server(config, app.state.parts)
