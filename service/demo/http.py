"""A thin client of the service: answers as views, problems as sentences, reads tried again."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
from pydantic import BaseModel

from service.demo.failure import DemoFailed

V = TypeVar("V", bound=BaseModel)

_TIMEOUT = httpx.Timeout(30.0, read=120.0)
#: A large upload is decoded before it is answered.
_UPLOAD_TIMEOUT = httpx.Timeout(30.0, read=3600.0, write=600.0)
_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.2


class Client:
    """Calls one service. ``still_up`` raises what should be said when there is nobody left to call."""

    def __init__(self, url: str, still_up: Callable[[], None], transport: httpx.BaseTransport | None = None) -> None:
        self._still_up = still_up
        # No proxy of the environment's: the service is on this machine.
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT, trust_env=False, transport=transport)

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def get(self, path: str, view: type[V]) -> V:
        """The resource. Raises ``DemoFailed``, as everything here does."""
        return view.model_validate_json(self._read(path, {}).content)

    def get_changed(self, path: str, view: type[V], etag: str | None) -> tuple[V | None, str | None]:
        """The resource and its ETag; None instead of it when it is still the one of ``etag``."""
        answer = self._read(path, {"If-None-Match": etag} if etag else {})
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return None, etag
        return view.model_validate_json(answer.content), answer.headers.get("ETag")

    def post(self, path: str, payload: BaseModel, view: type[V]) -> V:
        """Create something from what ``payload`` says explicitly. Not tried again: it could be created twice."""
        body = payload.model_dump(mode="json", exclude_unset=True)
        return view.model_validate_json(self._once("POST", path, json=body).content)

    def upload(self, path: str, name: str, archive: Path, view: type[V]) -> V:
        """Send a zip."""
        with archive.open("rb") as stream:
            files = {"archive": (archive.name, stream, "application/zip")}
            answer = self._once("POST", path, data={"name": name}, files=files, timeout=_UPLOAD_TIMEOUT)
        return view.model_validate_json(answer.content)

    def download(self, path: str, to: Path) -> None:
        """Write an artefact to a file, in pieces."""
        try:
            with self._http.stream("GET", path) as answer:
                if answer.is_error:
                    answer.read()
                    _check(answer)
                with to.open("wb") as stream:
                    for piece in answer.iter_bytes():
                        stream.write(piece)
        except httpx.TransportError as error:
            raise self._unreachable(path, error) from error
        except OSError as error:
            raise DemoFailed(f"{to} cannot be written: {error.strerror}. Free some space and run it again.") from error

    def _read(self, path: str, headers: dict[str, str]) -> httpx.Response:
        pause_seconds = _FIRST_PAUSE_SECONDS
        for attempt in range(1, _TRIES + 1):
            try:
                return _check(self._http.get(path, headers=headers))
            except httpx.TransportError as error:
                if attempt == _TRIES:
                    raise self._unreachable(path, error) from error
                self._still_up()
            time.sleep(pause_seconds)
            pause_seconds *= 2
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, path: str, **arguments: object) -> httpx.Response:
        try:
            return _check(self._http.request(method, path, **arguments))  # type: ignore[arg-type]
        except httpx.TransportError as error:
            raise self._unreachable(path, error) from error

    def _unreachable(self, path: str, error: httpx.TransportError) -> DemoFailed:
        self._still_up()
        return DemoFailed(f"The service does not answer at {path} ({type(error).__name__}: {error}).")


def _check(answer: httpx.Response) -> httpx.Response:
    """The answer. Raises ``DemoFailed`` with the problem's own words."""
    if not answer.is_error:
        return answer
    try:
        problem = json.loads(answer.content)
        told = f"{problem['title']}: {problem['detail']}. {problem.get('remedy') or ''}".strip()
        refused = [f"\n  {one['filename']}: {one['reason']}. {one['remedy']}" for one in problem.get("refused", [])]
    except (ValueError, KeyError, TypeError):
        told, refused = answer.text[:500], []
    request = answer.request
    raise DemoFailed(
        f"{request.method} {request.url.path} was answered {answer.status_code}. {told}{''.join(refused[:20])}"
    )
