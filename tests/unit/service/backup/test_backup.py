"""Backup and restore: the same record and the same bytes, from either database to either, or nothing at all."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import insert, select

from service.backup.format import BackupError
from service.backup.restoring import restore
from service.backup.verifying import verify
from service.backup.writing import write_backup
from service.contracts.jobs import JobState
from service.store.artifacts import LocalArtifacts
from service.store.database import Database, migration_config
from service.store.tables import GeneratedImageRow, JobRow, SweepRow, WorkerRow
from tests.fakes.full_record import contents, fill

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DATA = [b"steel" * 100_000, b"", b"pits"]


def quiet(done: int, total: int) -> None:
    """Nobody looks."""


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path, store: LocalArtifacts) -> Iterator[Database]:
    database = filled(f"sqlite:///{tmp_path / 'source.db'}", store)
    yield database
    database.close()


def filled(url: str, store: LocalArtifacts) -> Database:
    """A record with rows in every table, and two jobs as a worker leaves them."""
    database = Database(url)
    database.migrate()
    with database.migrating() as connection:
        fill(connection, sha256s=[store.put_bytes(data).sha256 for data in DATA[:2]])
    with database.transaction() as session:
        sheet = store.put_bytes(DATA[2]).sha256
        session.get_one(JobRow, "job_0").result = {"contact_sheet": sheet}
        running = session.get_one(JobRow, "job_1")
        running.state, running.interim, running.result, running.fencing_token = JobState.RUNNING, {"trials": 3}, None, 7
    return database


@pytest.fixture
def archive(source: Database, store: LocalArtifacts, tmp_path: Path) -> Path:
    path = tmp_path / "backup.tar"
    write_backup(source, store, path, NOW, quiet)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'target.db'}")
    yield database
    database.close()


def kept(database: Database) -> dict[str, list[dict[str, object]]]:
    with database.reading() as session:
        found = contents(session.connection())
    return {name: rows for name, rows in found.items() if name not in ("worker", "sweep", "job")}


def test_what_is_restored_is_what_was_backed_up_on_either_database(
    source: Database, archive: Path, database_url: str, tmp_path: Path
) -> None:
    target, artifacts = Database(database_url), LocalArtifacts(tmp_path / "other store")
    restore(archive, target, artifacts, NOW, replace=False, tell=quiet)
    assert kept(target) == kept(source)
    assert {path.read_bytes() for path in (tmp_path / "other store").glob("??/??/*")} == set(DATA)
    with target.reading() as session:
        assert session.scalars(select(WorkerRow)).all() == []
        job = session.get_one(JobRow, "job_1")
        assert (job.state, job.worker_id, job.lease_expires_at, job.wakeup_at) == (JobState.QUEUED, None, None, None)
        assert (job.interim, job.fencing_token) == ({"trials": 3}, 7)
        assert session.scalar(select(JobRow.id).where(JobRow.result.is_(None))) == "job_1"
        assert session.get_one(JobRow, "job_0").state == JobState.SUCCEEDED
    again = tmp_path / "again.tar"
    write_backup(target, artifacts, again, NOW, quiet)
    back = Database(f"sqlite:///{tmp_path / 'back.db'}")
    restore(again, back, LocalArtifacts(tmp_path / "third store"), NOW, replace=False, tell=quiet)
    assert kept(back) == kept(source)
    back.close()
    target.close()


def test_a_backup_of_an_older_schema_is_brought_up_to_date(tmp_path: Path, store: LocalArtifacts) -> None:
    old, new = Database(f"sqlite:///{tmp_path / 'old.db'}"), Database(f"sqlite:///{tmp_path / 'new.db'}")
    with old.migrating() as connection:
        command.upgrade(migration_config(connection), "0001")
        fill(connection, sha256s=[store.put_bytes(b"x").sha256])
    write_backup(old, store, tmp_path / "old.tar", NOW, quiet)
    restore(tmp_path / "old.tar", new, store, NOW, replace=False, tell=quiet)
    with new.reading() as session:
        image = session.scalars(select(GeneratedImageRow)).first()
        assert image is not None and (image.seed, image.candidate) == (2**53, None)
    old.close()
    new.close()


def test_a_restore_into_a_service_that_runs_is_refused(archive: Path, empty: Database, tmp_path: Path) -> None:
    empty.migrate()
    lively: list[WorkerRow | SweepRow] = [
        WorkerRow(id="w", device="cpu", rss_bytes=1, seen_at=NOW - timedelta(seconds=5)),
        SweepRow(id="last", swept_at=NOW - timedelta(seconds=5)),
    ]
    for row in lively:
        with empty.transaction() as session:
            session.add(row)
        with pytest.raises(BackupError, match="Stop every process"):
            restore(archive, empty, LocalArtifacts(tmp_path / "other"), NOW, replace=True, tell=quiet)
        with empty.transaction() as session:
            session.delete(row)


def test_what_an_unfinished_job_goes_on_from_is_in_the_backup(
    source: Database, store: LocalArtifacts, tmp_path: Path
) -> None:
    halfway = store.put_bytes(b"an image of a generation that runs").sha256
    with source.transaction() as session:
        session.get_one(JobRow, "job_1").interim = {"images": [{"number": 0, "sha256": halfway}]}
    write_backup(source, store, tmp_path / "running.tar", NOW, quiet)
    back, artifacts = Database(f"sqlite:///{tmp_path / 'back.db'}"), LocalArtifacts(tmp_path / "other")
    restore(tmp_path / "running.tar", back, artifacts, NOW, replace=False, tell=quiet)
    assert artifacts.path_of(halfway).read_bytes() == b"an image of a generation that runs"
    back.close()


def test_a_database_that_is_not_empty_is_replaced_only_if_told(
    source: Database, archive: Path, empty: Database, tmp_path: Path
) -> None:
    empty.migrate()
    with empty.transaction() as session:
        session.execute(insert(WorkerRow).values(id="w", device="cpu", rss_bytes=1, seen_at=NOW - timedelta(minutes=1)))
    artifacts = LocalArtifacts(tmp_path / "other")
    restore(archive, empty, artifacts, NOW, replace=False, tell=quiet)
    with pytest.raises(BackupError, match=r"not empty .*--replace"):
        restore(archive, empty, artifacts, NOW, replace=False, tell=quiet)
    with empty.transaction() as session:
        session.delete(session.get_one(JobRow, "job_0"))
    restore(archive, empty, artifacts, NOW, replace=True, tell=quiet)
    assert kept(empty) == kept(source)


def cut_off(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def without_manifest(path: Path) -> None:
    rewritten(path, lambda name, data: None if name == "manifest.json" else data)


def another_row(path: Path) -> None:
    rewritten(path, lambda name, data: data + b"{}\n" if name == "tables/job.jsonl" else data)


def other_bytes(path: Path) -> None:
    rewritten(path, lambda name, data: b"rust" * 125_000 if len(data) == 500_000 else data)


def without_a_file(path: Path) -> None:
    rewritten(path, lambda name, data: None if len(data) == 500_000 else data)


def newer(path: Path) -> None:
    def told(name: str, data: bytes) -> bytes:
        return json.dumps({**json.loads(data), "revision": "9999"}).encode() if name == "head.json" else data

    rewritten(path, told)


def no_backup(path: Path) -> None:
    path.write_bytes(b"not a tar at all" * 1000)


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    copy = path.with_suffix(".changed")
    with tarfile.open(path) as old, tarfile.open(copy, "w") as new:
        for entry in old:
            stream = old.extractfile(entry)
            data = change(entry.name, stream.read() if stream is not None else b"")
            if data is not None:
                entry.size = len(data)
                new.addfile(entry, io.BytesIO(data))
    shutil.move(copy, path)


@pytest.mark.parametrize(
    "damage", [cut_off, without_manifest, another_row, other_bytes, without_a_file, newer, no_backup, Path.unlink]
)
def test_a_damaged_backup_is_refused_before_anything_is_written(
    archive: Path, empty: Database, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(archive)
    with pytest.raises(BackupError):
        restore(archive, empty, LocalArtifacts(tmp_path / "other"), NOW, replace=False, tell=quiet)
    assert [path for path in (tmp_path / "other").rglob("*") if path.is_file()] == []
    with empty.reading() as session:
        assert contents(session.connection()) == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../escaped", tarfile.REGTYPE),
        ("/tmp/escaped", tarfile.REGTYPE),
        ("artifacts/../../escaped", tarfile.REGTYPE),
        ("artifacts/" + "a" * 64, tarfile.SYMTYPE),
        ("tables/job.jsonl", tarfile.LNKTYPE),
        ("tables/Job;drop.jsonl", tarfile.REGTYPE),
        ("artifacts", tarfile.DIRTYPE),
    ],
)
def test_an_archive_with_anything_else_in_it_is_refused(
    archive: Path, empty: Database, tmp_path: Path, name: str, kind: bytes
) -> None:
    with tarfile.open(archive, "a") as appended:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        appended.addfile(entry)
    for use in (
        lambda: verify(archive, quiet),
        lambda: restore(archive, empty, LocalArtifacts(tmp_path / "other"), NOW, replace=True, tell=quiet),
    ):
        with pytest.raises(BackupError, match=r"holds|goes on"):
            use()
    assert not (tmp_path / "escaped").exists() and not Path("/tmp/escaped").exists()


def test_a_restore_that_fails_in_the_middle_leaves_the_record_as_it_was(
    source: Database, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept(source)
    monkeypatch.setattr("service.backup.restoring._requeue", lambda connection: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        later = NOW + timedelta(days=1)
        restore(archive, source, LocalArtifacts(tmp_path / "other"), later, replace=True, tell=quiet)
    assert kept(source) == before


def test_what_the_store_lost_is_named_and_everything_else_is_there(
    source: Database, store: LocalArtifacts, tmp_path: Path
) -> None:
    lost = next(iter(store.stored()))[0]
    store.delete(lost)
    manifest = write_backup(source, store, tmp_path / "backup.tar", NOW, quiet)
    assert (manifest.missing, manifest.num_artifacts) == ([lost], 2)
    assert verify(tmp_path / "backup.tar", quiet).manifest == manifest


def test_a_backup_is_whole_or_not_there_and_nobody_else_may_read_it(
    source: Database, store: LocalArtifacts, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert archive.stat().st_mode & 0o077 == 0
    with pytest.raises(BackupError, match="there already"):
        write_backup(source, store, archive, NOW, quiet)
    monkeypatch.setattr(LocalArtifacts, "path_of", lambda self, sha256: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_backup(source, store, tmp_path / "second.tar", NOW, quiet)
    assert [path.name for path in tmp_path.glob("second*")] == []


def test_a_backup_holds_one_moment_of_the_record(
    database_url: str, store: LocalArtifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that come while tables are read are in none of them, or an image could lack its generation."""
    from service.backup import writing

    source, first = filled(database_url, store), writing.lines_of

    def lines_of(session: object, table: object) -> Iterator[bytes]:
        with source.transaction() as other:
            other.execute(insert(WorkerRow).values(id=str(table), device="cpu", rss_bytes=1, seen_at=NOW))
            for job in other.scalars(select(JobRow)):
                job.attempts += 1
        return first(session, table)  # type: ignore[arg-type]

    before = kept(source)
    with source.reading() as session:
        attempts = session.get_one(JobRow, "job_0").attempts
    monkeypatch.setattr(writing, "lines_of", lines_of)
    write_backup(source, store, tmp_path / "backup.tar", NOW, quiet)
    target = Database(f"sqlite:///{tmp_path / 'target.db'}")
    restore(tmp_path / "backup.tar", target, store, NOW, replace=False, tell=quiet)
    assert kept(target) == before
    with target.reading() as session:
        assert session.get_one(JobRow, "job_0").attempts == attempts
    target.close()
    source.close()
