import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from service.store.database import Database
from service.store.tables import Base, WorkerRow

_INSERT = "INSERT INTO worker (id, device, rss_bytes, seen_at) VALUES ('w', 'cpu', :rss_bytes, '2026-01-01 00:00:00')"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/record.db")
    database.migrate()
    yield database
    database.close()


def test_the_migrated_schema_is_the_metadata(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    program = f"from service.store.database import Database; Database({database_url!r}).migrate()"
    together = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1] for process in together]
    assert [process.returncode for process in together] == [0, 0, 0], errors
    database = Database(database_url)
    assert "job" in inspect(database.engine).get_table_names()
    database.close()


def test_times_come_back_in_utc_whatever_the_servers_zone(database: Database) -> None:
    written = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    with database.transaction() as session:
        session.add(WorkerRow(id="w", device="cpu", rss_bytes=0, seen_at=written))
    with database.reading() as session:
        read = session.get_one(WorkerRow, "w").seen_at
    assert (read, read.utcoffset()) == (written, timedelta(0))


def test_sqlite_writes_ahead_and_enforces_foreign_keys(sqlite: Database) -> None:
    with sqlite.reading() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
    with pytest.raises(IntegrityError), sqlite.transaction() as session:
        session.execute(text("INSERT INTO version_image VALUES ('dsv_0', 'img_0', 'default')"))


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(KeyError), database.transaction() as session:
        session.execute(text(_INSERT), {"rss_bytes": 1})
        raise KeyError("x")
    with database.reading() as session:
        assert session.scalars(select(WorkerRow)).all() == []


def test_writers_queue_up_so_that_read_then_write_loses_nothing(sqlite: Database) -> None:
    with sqlite.transaction() as session:
        session.execute(text(_INSERT), {"rss_bytes": 0})

    def count() -> None:
        for _ in range(20):
            with sqlite.transaction() as session:
                row = session.get_one(WorkerRow, "w")
                row.rss_bytes = row.rss_bytes + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sqlite.reading() as session:
        assert session.get_one(WorkerRow, "w").rss_bytes == 80


def test_sqlite_in_memory_is_refused_because_processes_share_it() -> None:
    with pytest.raises(ValueError, match="DEFECTSYNTH_DATABASE_URL"):
        Database("sqlite://")
