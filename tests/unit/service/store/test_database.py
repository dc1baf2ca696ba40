import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from service.store.database import Database
from service.store.tables import Base, WorkerRow


def migrated(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder}/record.db")
    database.migrate()
    return database


def test_the_migrated_schema_is_the_metadata(tmp_path: Path) -> None:
    database = migrated(tmp_path)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    program = f"from service.store.database import Database; Database('sqlite:///{tmp_path}/record.db').migrate()"
    together = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1] for process in together]
    assert [process.returncode for process in together] == [0, 0, 0], errors
    assert "job" in inspect(Database(f"sqlite:///{tmp_path}/record.db").engine).get_table_names()


def test_sqlite_writes_ahead_and_enforces_foreign_keys(tmp_path: Path) -> None:
    database = migrated(tmp_path)
    with database.reading() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(text("INSERT INTO version_image VALUES ('dsv_0', 'img_0')"))


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = migrated(tmp_path)
    with pytest.raises(KeyError), database.transaction() as session:
        session.execute(text("INSERT INTO worker VALUES ('w', 'cpu', NULL, NULL, 1, '2026-01-01 00:00:00')"))
        raise KeyError("x")
    with database.reading() as session:
        assert session.scalars(select(WorkerRow)).all() == []


def test_writers_queue_up_so_that_read_then_write_loses_nothing(tmp_path: Path) -> None:
    database = migrated(tmp_path)
    with database.transaction() as session:
        session.execute(text("INSERT INTO worker VALUES ('w', 'cpu', NULL, NULL, 0, '2026-01-01 00:00:00')"))

    def count() -> None:
        for _ in range(20):
            with database.transaction() as session:
                row = session.get_one(WorkerRow, "w")
                row.rss_bytes = row.rss_bytes + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.get_one(WorkerRow, "w").rss_bytes == 80


def test_sqlite_in_memory_is_refused_because_processes_share_it() -> None:
    with pytest.raises(ValueError, match="DEFECTSYNTH_DATABASE_URL"):
        Database("sqlite://")
