"""Use case: write a backup, while the service runs.

The record is read in one snapshot. Bytes that its rows name cannot go meanwhile, for the sweep keeps for a day what was
just deleted. The file appears under its name when it is whole.
"""

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from alembic.runtime.migration import MigrationContext
from pydantic import BaseModel
from sqlalchemy import Table
from sqlalchemy.orm import Session

from service.backup.format import (
    FORMAT,
    HEAD,
    MANIFEST,
    BackupError,
    Head,
    Manifest,
    TableDigest,
    artifact_member,
    table_member,
)
from service.backup.rows import lines_of, tables_in
from service.errors import ArtifactMissing
from service.store.artifacts import ArtifactStore
from service.store.database import Database
from service.store.references import all_cited
from service.store.tables import SweepRow, WorkerRow

#: Told how many of how many artefacts are done.
Tell = Callable[[int, int], None]
#: Which processes reported lately is of no use to another day.
_LEFT_OUT = (WorkerRow.__tablename__, SweepRow.__tablename__)


def write_backup(database: Database, artifacts: ArtifactStore, path: Path, now: datetime, tell: Tell) -> Manifest:
    """Write everything to ``path``. Raises `BackupError`, and ``OSError`` where the disk does."""
    if path.exists():
        raise BackupError(f"{path} is there already: choose another name.")
    partial = path.with_name(f"{path.name}.partial")
    try:
        # Keys and secrets are in it, so nobody else may read it.
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w|") as archive:
                manifest = _write(archive, database, artifacts, now, tell)
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def _write(
    archive: tarfile.TarFile, database: Database, artifacts: ArtifactStore, now: datetime, tell: Tell
) -> Manifest:
    at = int(now.timestamp())
    with database.snapshot() as session:
        head = Head(
            format=FORMAT, software=f"defectsynth {version('defectsynth')}", revision=_revision(session), created_at=now
        )
        _add_words(archive, HEAD, head, at)
        tables = {
            table.name: _add_table(archive, session, table, at)
            for table in tables_in(session.connection())
            if table.name not in _LEFT_OUT
        }
        digests = sorted(all_cited(session))
    missing: list[str] = []
    artifact_bytes = 0
    for number, sha256 in enumerate(digests):
        tell(number, len(digests))
        try:
            artifact_bytes += _add_file(archive, artifact_member(sha256), artifacts.path_of(sha256), at)
        except ArtifactMissing:
            missing.append(sha256)
    tell(len(digests), len(digests))
    num_artifacts = len(digests) - len(missing)
    manifest = Manifest(tables=tables, num_artifacts=num_artifacts, artifact_bytes=artifact_bytes, missing=missing)
    _add_words(archive, MANIFEST, manifest, at)
    return manifest


def _revision(session: Session) -> str:
    revision = MigrationContext.configure(session.connection()).get_current_revision()
    if revision is None:
        raise BackupError("there is nothing to back up: the database has no tables yet.")
    return revision


def _add_table(archive: tarfile.TarFile, session: Session, table: Table, at: int) -> TableDigest:
    """A tar names a member's size before its bytes, so the rows go to a temporary file first."""
    with tempfile.TemporaryFile() as spooled:
        num_rows, digest = _spool(spooled, lines_of(session, table))
        spooled.seek(0)
        entry = _entry(table_member(table.name), os.fstat(spooled.fileno()).st_size, at)
        archive.addfile(entry, spooled)
    return TableDigest(sha256=digest, num_rows=num_rows)


def _spool(into: IO[bytes], lines: Iterable[bytes]) -> tuple[int, str]:
    num_rows, digest = 0, hashlib.sha256()
    for line in lines:
        into.write(line)
        digest.update(line)
        num_rows += 1
    into.flush()
    return num_rows, digest.hexdigest()


def _add_file(archive: tarfile.TarFile, name: str, path: Path, at: int) -> int:
    with path.open("rb") as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        archive.addfile(_entry(name, size_bytes, at), stream)
    return size_bytes


def _add_words(archive: tarfile.TarFile, name: str, words: BaseModel, at: int) -> None:
    data = words.model_dump_json(indent=1).encode()
    archive.addfile(_entry(name, len(data), at), io.BytesIO(data))


def _entry(name: str, size_bytes: int, at: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size_bytes, at, 0o600
    return entry
