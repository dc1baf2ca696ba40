"""A transport that hands requests to starlette's test client, which speaks another generation of httpx."""

import httpx
from starlette.testclient import TestClient


class ThroughTestClient(httpx.BaseTransport):
    """The application, without a socket."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        told = self._client.request(
            request.method, str(request.url), content=request.read(), headers=dict(request.headers),
            follow_redirects=False,
        )  # fmt: skip
        return httpx.Response(told.status_code, headers=list(told.headers.multi_items()), content=told.content)
