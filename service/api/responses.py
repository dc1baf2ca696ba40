"""Answers with validators: views with an ETag, and stored bytes with a content-hash ETag and Range."""

import base64
from collections.abc import Callable
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Query, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable, RedirectResponse, Response

from service.api.dependencies import Parts
from service.store.artifacts import ArtifactStore
from service.thumbnails import ThumbnailSize

#: By cookie too: who has signed out, or another person at the same browser, is not shown what it kept.
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Cookie"}


def stored(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """How a route documents what ``artifact_response`` answers."""
    return {
        200: {"content": {media_type: {}}, "description": description},
        206: {"content": {media_type: {}, "multipart/byteranges": {}}, "description": "The ranges asked for."},
        304: {"description": "The client has it already."},
        307: {
            "description": "The bytes are at `Location`, for a short while (where the operator redirects downloads)."
        },
        416: {"description": "No range asked for lies inside the file."},
    }


THUMBNAIL: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "A JPEG, never larger than the picture itself."},
    304: {"description": "The client has it already."},
}
SizeOf = Annotated[ThumbnailSize, Query(alias="size_px", description="Of the longest side.")]


def is_fresh(request: Request, etag: str) -> bool:
    """Whether the client has this very version (RFC 9110: weak comparison, ``*`` matches anything)."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags


def view_response(view: BaseModel, headers: dict[str, str]) -> Response:
    """A view as JSON, past FastAPI's own serialisation: this is what pollers ask for."""
    return Response(view.model_dump_json(), headers=headers, media_type="application/json")


def artifact_response(
    request: Request, artifacts: ArtifactStore, sha256: str, media_type: str, filename: str | None = None
) -> Response:
    """Stored bytes, or where to get them; 304 for a client that has them.

    Raises ``ArtifactMissing`` and ``StorageUnavailable``.
    """
    headers = {
        "ETag": f'"{sha256}"',
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:",  # RFC 9530
        "X-Content-Type-Options": "nosniff",
        **_FOREVER,
    }
    if is_fresh(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    address = artifacts.download_url(sha256, media_type, filename)
    if address is not None:  # Beyond its short life the address is worth nothing, so it is not kept.
        return RedirectResponse(address, status_code=307, headers={**headers, "Cache-Control": "no-store"})
    return _StoredFile(artifacts.path_of(sha256), media_type=media_type, headers=headers, filename=filename)


async def thumbnail_response(
    request: Request, parts: Parts, size: ThumbnailSize, digest: Callable[[], str]
) -> Response:
    """A small JPEG of the picture whose digest ``digest`` looks up; 304 for a client that has it.

    A page asks for hundreds at once: they wait in line here, so that other requests find a free thread. Raises what
    ``digest`` raises, and ``ArtifactMissing``.
    """

    def respond() -> Response:
        sha256 = digest()
        headers = {"ETag": f'"{sha256}-{size}"', "X-Content-Type-Options": "nosniff", **_FOREVER}
        if is_fresh(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(parts.thumbnails(sha256, size), media_type="image/jpeg", headers=headers)

    return await to_thread.run_sync(respond, limiter=parts.thumbnail_slots)


class _StoredFile(FileResponse):
    """Stock, except that a Range that is none is ignored (RFC 9110, 14.2) and an unsatisfiable one is a problem."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []
        except RangeNotSatisfiable as error:
            headers = {"Content-Range": f"bytes */{error.max_size}"}
            raise HTTPException(416, f"the file has {error.max_size} bytes", headers) from error
