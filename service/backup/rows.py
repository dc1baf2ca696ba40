"""A table's rows as lines of JSON, the same from SQLite and from PostgreSQL."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    column,
    func,
    insert,
    literal,
    select,
    table,
    text,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from service.backup.format import BackupError
from service.store.tables import UtcDateTime

_ROWS_AT_ONCE = 500
_VERSIONS = "alembic_version"


def tables_in(connection: Connection) -> list[Table]:
    """The tables as they are in the database, which may be older than the code; what is referred to comes first."""
    found = MetaData()
    found.reflect(connection)
    return [one for one in found.sorted_tables if one.name != _VERSIONS]


def lines_of(session: Session, rows_of: Table) -> Iterator[bytes]:
    """Every row, a line each, some at a time in memory; in the order of the primary key."""
    query = select(rows_of).order_by(*rows_of.primary_key).execution_options(yield_per=_ROWS_AT_ONCE)
    for row in session.execute(query).mappings():
        values = {name: _told(value) for name, value in row.items()}
        yield json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def insert_lines(connection: Connection, into: Table, lines: Iterable[bytes]) -> int:
    """Insert rows into a table as it is in the database; how many. Raises `BackupError` for rows that do not fit."""
    types = {one.name: one.type for one in into.columns}
    target = table(into.name, *(column(name, _writing_type(kind)) for name, kind in types.items()))
    batch: list[dict[str, Any]] = []
    num_rows = 0
    for line in lines:
        batch.append(_row(into.name, line, types))
        num_rows += 1
        if len(batch) == _ROWS_AT_ONCE:
            connection.execute(insert(target), batch)
            batch = []
    if batch:
        connection.execute(insert(target), batch)
    _raise_counter(connection, into)
    return num_rows


def _told(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _row(name: str, line: bytes, types: dict[str, TypeEngine[Any]]) -> dict[str, Any]:
    try:
        values = json.loads(line)
        if set(values) != set(types):
            raise BackupError(f"a row of table {name!r} has other columns than the schema: the backup is not usable.")
        return {column_name: _read(values[column_name], kind) for column_name, kind in types.items()}
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise BackupError(f"a row of table {name!r} cannot be read ({error}).") from error


def _read(value: Any, kind: TypeEngine[Any]) -> Any:
    if value is None:
        return None
    if isinstance(kind, DateTime):
        return datetime.fromisoformat(value)
    return base64.b64decode(value, validate=True) if isinstance(kind, LargeBinary) else value


def _writing_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Times in UTC on either database; an absent JSON value as NULL, as the service writes it."""
    if isinstance(kind, DateTime):
        return UtcDateTime()
    return JSON(none_as_null=True) if isinstance(kind, JSON) else kind


def _raise_counter(connection: Connection, into: Table) -> None:
    """PostgreSQL counts ids in a sequence, which does not see ids that are given."""
    counted = into.autoincrement_column
    if connection.dialect.name != "postgresql" or counted is None:
        return
    sequence = connection.scalar(text("SELECT pg_get_serial_sequence(:t, :c)"), {"t": into.name, "c": counted.name})
    largest = connection.scalar(select(func.max(counted)))
    if sequence is not None and largest is not None:
        connection.execute(select(func.setval(literal(sequence), literal(largest))))
