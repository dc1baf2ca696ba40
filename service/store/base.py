"""What all tables have in common: the declarative base, JSON columns and times in UTC."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, DateTime, Dialect, Double, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase

Json = dict[str, Any]


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes on every database (SQLite drops the zone, PostgreSQL answers in its session's)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive datetimes."""
        if value is not None and value.tzinfo is None:
            raise ValueError("naive datetime")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def checked(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The same, but not what rows are looked for by.

    SQLite, which keeps no statistics, takes an index of tenants as gladly as one that finds three rows, and then reads
    all that the tenant has.
    """
    return condition.is_(True)


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map = {datetime: UtcDateTime, Json: JSON, str: String(255), int: BigInteger, float: Double}  # noqa: RUF012
