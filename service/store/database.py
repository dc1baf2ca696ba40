"""Transactions on SQLite (WAL) or PostgreSQL, and the migration of the schema."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.errors import StorageFull

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS_DIR = Path(__file__).resolve().parent / "migrations"
_MIGRATION_LOCK = 0x5D5D_0001
_BUSY_SECONDS = 30.0
_WRITES = "defectsynth_writes"


class Database:
    """One process's connections. Make it after a fork, never before.

    On SQLite a writing transaction begins IMMEDIATE, so two of them queue up instead of failing at the upgrade of a
    read lock, and a compare-and-set inside one is safe.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._engine = _sqlite_engine(self._url) if self.is_sqlite else _postgres_engine(self._url)
        self._writing_engine = self._engine.execution_options(**{_WRITES: True})

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite, which has no ``FOR UPDATE SKIP LOCKED``."""
        return self._url.get_backend_name() == "sqlite"

    @property
    def engine(self) -> Engine:
        """The engine, for inspection."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A writing transaction: committed at the end of the block, rolled back by an exception.

        Raises ``StorageFull`` where the database's disk has no room.
        """
        try:
            with Session(self._writing_engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            if _is_disk_full(error):
                raise StorageFull("the disk that holds the database is full") from error
            raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read-only view; what is changed in it is rolled back."""
        with Session(self._engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """For one statement that reads, where a session's objects cost more than what is asked for."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A read-only view that stays as it is at the first look, however long it is looked at."""
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with Session(self._engine.execution_options(**level), autoflush=False) as session:
            yield session

    def migrate(self) -> None:
        """Bring the schema to the newest revision. Processes that start together wait for each other."""
        from alembic import command  # slow to import, and needed once

        with self.migrating() as connection:
            command.upgrade(migration_config(connection), "head")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A writing transaction that may change the schema; one at a time."""
        with self._writing_engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            yield connection

    def ping(self) -> None:
        """Raise SQLAlchemy's error where the database does not answer."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


def lock_tenant(session: Session, tenant_id: str) -> None:
    """Hold off other transactions that call this for the same tenant, until this one ends.

    On SQLite a writing transaction holds off all others anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:tenant_id))"), {"tenant_id": tenant_id})


def migration_config(connection: Connection) -> "Config":
    """Alembic's configuration, bound to an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS_DIR).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _postgres_engine(url: URL) -> Engine:
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(url, pool_size=10, max_overflow=30, pool_pre_ping=True)


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("DEFECTSYNTH_DATABASE_URL: SQLite needs a file, because several processes share it")
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url, pool_size=10, max_overflow=30, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    """The driver's own BEGINs are switched off: ``_begin_sqlite`` says which kind."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")  # A committed 202 outlives a power cut.
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """WAL stays on in the file. SQLite does not wait for other openers here, so this does."""
    give_up_at = time.monotonic() + _BUSY_SECONDS
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_disk_full(error: OperationalError) -> bool:
    """SQLite says SQLITE_FULL, PostgreSQL 53100 (disk_full)."""
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or (
        getattr(error.orig, "sqlstate", None) == "53100"
    )
