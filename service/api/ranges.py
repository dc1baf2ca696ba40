"""Bytes that are made while they are sent, by an ETag and in a range: a download that broke off can be gone on with."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from service.api.responses import is_fresh

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})|bytes=-(\d{1,18})")


@dataclass(frozen=True)
class Streamed:
    """Bytes to come: ``make`` begins them anew each time, and they are the same each time."""

    make: Callable[[], Iterable[bytes]]
    length_bytes: int
    etag: str
    media_type: str
    filename: str


def streamed_response(request: Request, source: Streamed) -> Response:
    """All of it, the range asked for, or 304. Several ranges at once are answered with all of it, as RFC 9110 allows.

    A range's beginning is made and thrown away: that costs reading, not sending.
    """
    headers = {
        "ETag": source.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{source.filename}"',
        "X-Content-Type-Options": "nosniff",
    }
    if is_fresh(request, source.etag):
        return Response(status_code=304, headers=headers)
    asked = _range_of(request, source)
    first, last = asked if asked is not None else (0, source.length_bytes - 1)
    headers["Content-Length"] = str(last - first + 1)
    if asked is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{source.length_bytes}"
    status = 206 if asked is not None else 200
    return StreamingResponse(part(source.make(), first, last), status, headers, media_type=source.media_type)


def part(chunks: Iterable[bytes], first: int, last: int) -> Iterator[bytes]:
    """Bytes ``first`` to ``last`` (both included) of the chunks together."""
    place = 0
    for chunk in chunks:
        wanted = chunk[max(first - place, 0) : last + 1 - place]
        place += len(chunk)
        if wanted:
            yield wanted
        if place > last:
            return


def _range_of(request: Request, source: Streamed) -> tuple[int, int] | None:
    """First and last byte; None for all. Raises 416 for a range behind the end."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    condition = request.headers.get("if-range")
    if match is None or (condition is not None and condition != source.etag):
        return None
    begin, end, suffix = match.groups()
    length = source.length_bytes
    if begin is None:
        first, last = max(length - int(suffix), 0), length - 1
    else:
        first, last = int(begin), min(int(end), length - 1) if end else length - 1
        if end and int(end) < first:
            return None
    if first > last:
        raise HTTPException(416, f"the file has {length} bytes", {"Content-Range": f"bytes */{length}"})
    return first, last
