"""What ``defectsynth backup`` and ``defectsynth restore`` show."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.util.exc import CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import SQLAlchemyError

from service.backup.format import BackupError, Manifest
from service.backup.restoring import restore
from service.backup.verifying import verify
from service.backup.writing import Tell, write_backup
from service.errors import ServiceError
from service.settings import Settings
from service.store.database import Database
from service.store.placement import artifact_store

#: Paths are printed as they are: no colours, no markup, no line breaks within.
_PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "soft_wrap": True}


def run_backup(path: Path, settings: Settings, console: Console) -> None:
    """Write a backup. Raises `BackupError`."""
    with _opened(settings) as database, _bar(console, "files") as tell:
        manifest = write_backup(database, artifact_store(settings), path, datetime.now(UTC), tell)
    console.print(f"{path}: {_told(manifest)}, {path.stat().st_size / 2**20:.1f} MiB.", **_PLAIN)
    if manifest.missing:
        lost = f"{len(manifest.missing)} files that the record names were not in the store, so they are not in the"
        console.print(f"{lost} backup; the first is {manifest.missing[0]}.", style="yellow", **_PLAIN)


def run_verify(path: Path, console: Console) -> None:
    """Look whether a backup is whole. Raises `BackupError`."""
    with _bar(console, "verifying") as tell:
        found = verify(path, tell)
    made = f"{found.head.software}, {found.head.created_at:%Y-%m-%d %H:%M} UTC, schema {found.head.revision}"
    console.print(f"{path} is whole: {_told(found.manifest)} ({made}).", **_PLAIN)


def run_restore(path: Path, settings: Settings, console: Console, *, replace: bool) -> None:
    """Restore a backup. Raises `BackupError`."""
    with _opened(settings) as database, _bar(console, "restoring") as tell:
        manifest = restore(path, database, artifact_store(settings), datetime.now(UTC), replace=replace, tell=tell)
    console.print(f"Restored {_told(manifest)} from {path}.", **_PLAIN)


def _told(manifest: Manifest) -> str:
    num_rows = sum(one.num_rows for one in manifest.tables.values())
    return f"{num_rows} rows of {len(manifest.tables)} tables and {manifest.num_artifacts} files"


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    try:
        database = Database(settings.sqlalchemy_url)
        try:
            yield database
        finally:
            database.close()
    except ServiceError as error:
        raise BackupError(f"{error.detail}. {error.remedy}") from error
    except (SQLAlchemyError, CommandError, ValueError) as error:
        raise BackupError(f"The database or the store cannot be used: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise BackupError(f"{error.filename or 'A file'}: {error.strerror or error}") from error


@contextmanager
def _bar(console: Console, what: str) -> Iterator[Tell]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
