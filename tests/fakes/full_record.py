"""Rows in every table of a schema, whatever its revision: the values follow from the columns' types."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Connection, DateTime, Float, Integer, LargeBinary, Table, insert
from sqlalchemy.types import TypeEngine

from service.backup.rows import tables_in

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
#: Words that must be of those the service knows.
_WORDS = {"reason": "client", "state": "succeeded", "kind": "generation", "split": "train"}


def fill(connection: Connection, num_rows: int = 2, sha256s: list[str] | None = None) -> None:
    """``num_rows`` rows in each table; the n-th row refers to the n-th row of other tables."""
    for one in tables_in(connection):
        for number in range(num_rows):
            connection.execute(insert(one).values(_row(one, number, sha256s)))


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, times in UTC."""
    return {one.name: _rows(connection, one) for one in tables_in(connection)}


def _rows(connection: Connection, one: Table) -> list[dict[str, Any]]:
    found = connection.execute(one.select().order_by(*one.primary_key)).mappings()
    return [{name: _plain(value) for name, value in row.items()} for row in found]


def _plain(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _row(one: Table, number: int, sha256s: list[str] | None) -> dict[str, Any]:
    referring = {column.name for key in one.foreign_keys for column in [key.parent]}
    return {
        column.name: f"{next(iter(column.foreign_keys)).column.table.name}_{number}"
        if column.name in referring and not isinstance(column.type, (Integer, BigInteger))
        else _value(one.name, column.name, column.type, number, sha256s)
        for column in one.columns
    }


def _value(table: str, name: str, kind: TypeEngine[Any], number: int, sha256s: list[str] | None) -> Any:
    if isinstance(kind, JSON):
        return {"größe": [number, None, 0.1], "text": "a\nb"}
    if isinstance(kind, DateTime):
        at = NOON + timedelta(days=number, microseconds=123456)
        return at.replace(tzinfo=None) if type(kind).__module__.endswith("sqlite.base") else at
    if isinstance(kind, Boolean):
        return bool(number)
    if isinstance(kind, Integer):
        return 2**53 + number if isinstance(kind, BigInteger) and name == "seed" else number + 1
    if isinstance(kind, Float):
        return 0.1 + number
    if isinstance(kind, LargeBinary):
        return bytes([number, 255])
    if sha256s is not None and name in ("sha256", "archive_sha256"):
        return sha256s[number % len(sha256s)]
    return _WORDS.get(name) or (f"{table}_{number}" if name == "id" else f"{name} ü {number}")
