"""Pages of lists: opaque cursors over a total order, capped page sizes."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import InvalidCursor

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200

T = TypeVar("T")


@dataclass(frozen=True)
class PageRequest:
    """Where to go on and how many at most; ``limit`` is capped at ``MAX_PAGE_SIZE``.

    ``until``: the ``next_cursor`` of an earlier look, so that the page ends where it ended then, however much is new.
    """

    cursor: str | None = None
    limit: int = DEFAULT_PAGE_SIZE
    until: str | None = None

    @property
    def size(self) -> int:
        """The page size in force, in [1, MAX_PAGE_SIZE]."""
        return max(1, min(self.limit, MAX_PAGE_SIZE))


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list; ``next_cursor`` is None on the last page."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(*parts: str | int) -> str:
    """The place after which the next page begins; opaque to clients."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The parts of a cursor, each of the kind asked for. Raises ``InvalidCursor``."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError as error:
        raise InvalidCursor("the cursor cannot be read", field="cursor") from error
    fits = isinstance(parts, list) and len(parts) == len(kinds)
    if not fits or not all(type(part) is kind for part, kind in zip(parts, kinds, strict=True)):
        raise InvalidCursor("the cursor is not one of this list", field="cursor")
    if not all(_is_storable(part) for part in parts):
        raise InvalidCursor("the cursor is not one of this list", field="cursor")
    return list(parts)


def _is_storable(part: str | int) -> bool:
    """Whether both databases can compare with it: Unicode without NUL characters, and at most 64 bits."""
    if isinstance(part, int):
        return -(2**63) <= part < 2**63
    return "\x00" not in part and not any("\ud800" <= character <= "\udfff" for character in part)


def newest_first(
    session: Session,
    query: Select[T],
    created_at: InstrumentedAttribute[datetime],
    row_id: InstrumentedAttribute[str],
    page: PageRequest,
) -> Page[T]:
    """One page of a query, ordered by creation time and id, descending. Raises ``InvalidCursor``."""
    if page.cursor is not None:
        query = query.where(tuple_(created_at, row_id) < _place(page.cursor))
    if page.until is not None:
        query = query.where(tuple_(created_at, row_id) >= _place(page.until))
    rows = list(session.scalars(query.order_by(created_at.desc(), row_id.desc()).limit(page.size + 1)))
    if len(rows) <= page.size:
        return Page(rows, None)
    last = rows[page.size - 1]
    return Page(rows[: page.size], encode_cursor(_value(last, created_at).isoformat(), _value(last, row_id)))


def _place(cursor: str) -> tuple[datetime, str]:
    created, row_id = decode_cursor(cursor, (str, str))
    try:
        at = datetime.fromisoformat(created)
        if at.tzinfo is None:
            raise ValueError("a time without its zone")
        return at.astimezone(UTC), row_id
    except (ValueError, OverflowError) as error:  # the first and last hours of the calendar have no time in UTC
        raise InvalidCursor("the cursor cannot be read", field="cursor") from error


def _value(row: object, column: InstrumentedAttribute[Any]) -> Any:
    return getattr(row, column.key)
