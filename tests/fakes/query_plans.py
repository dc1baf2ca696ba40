"""How SQLite goes about the queries that something asks."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from service.store.database import Database


def query_plans(database: Database, ask: Callable[[Session], object]) -> list[str]:
    """The plan of each query, in the order in which they are asked."""
    asked: list[tuple[str, Any]] = []

    def note(*told: Any) -> None:
        asked.append((told[2], told[3]))

    event.listen(database.engine, "before_cursor_execute", note)
    with database.reading() as session:
        ask(session)
    event.remove(database.engine, "before_cursor_execute", note)
    with database.engine.connect() as connection:
        return [
            "; ".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given))
            for statement, given in asked
            if statement.startswith("SELECT")
        ]
