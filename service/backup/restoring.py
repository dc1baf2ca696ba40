"""Use case: restore a backup.

The whole archive is verified before anything is written. Then the bytes are stored, which by themselves change nothing
that a client sees, and then all rows are written in one transaction: either the record is what it was, or what the
backup holds. The schema is brought to the archive's revision for it, and up to date after it, in the same transaction.
"""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, delete, inspect, select, update
from sqlalchemy.orm import Session

from service.backup.format import CHUNK_BYTES, BackupError, Manifest, Member, members_of
from service.backup.rows import insert_lines, tables_in
from service.backup.verifying import verify
from service.backup.writing import Tell
from service.contracts.jobs import JobState
from service.errors import ServiceError
from service.store import backlog, workers
from service.store.artifacts import ArtifactStore
from service.store.database import Database, migration_config
from service.store.tables import JobRow, SweepRow, WorkerRow

#: A process that reported so lately may still run.
SEEN_WITHIN = timedelta(seconds=20)


def restore(
    path: Path, database: Database, artifacts: ArtifactStore, now: datetime, *, replace: bool, tell: Tell
) -> Manifest:
    """Put a backup into ``database`` and ``artifacts``. ``replace``: what is in the record goes.

    Jobs that were running are queued again. ``now``: a service that runs is refused. Raises
    `BackupError`; then the record is as it was.
    """
    verified = verify(path, tell)
    with database.reading() as session:
        _refuse_while_running(session, now)
        _refuse_unfit(session.connection(), verified.head.revision, replace)
    try:
        _store_artifacts(path, artifacts, verified.manifest, tell)
    except ServiceError as error:
        raise BackupError(f"{error.detail}. {error.remedy}") from error
    with database.migrating() as connection:
        _refuse_unfit(connection, verified.head.revision, replace)
        _empty(connection, verified.head.revision)
        _insert_tables(connection, path)
        command.upgrade(migration_config(connection), "head")
        _requeue(connection)
    return verified.manifest


def _refuse_while_running(session: Session, now: datetime) -> None:
    """A live worker would go on under tokens that the backup gives out again."""
    names = inspect(session.connection()).get_table_names()
    if not {WorkerRow.__tablename__, SweepRow.__tablename__} <= set(names):
        return  # Empty, or of an older version, which this one's processes have not opened.
    swept_at = backlog.swept_at(session)
    if workers.seen(session, now, SEEN_WITHIN) or (swept_at is not None and swept_at > now - SEEN_WITHIN):
        raise BackupError(
            f"the service runs on this database: a worker or maintenance reported within {SEEN_WITHIN.seconds} s. "
            "Stop every process of it, wait as long, and restore again."
        )


def _refuse_unfit(connection: Connection, revision: str, replace: bool) -> None:
    known = {one.revision for one in ScriptDirectory.from_config(migration_config(connection)).walk_revisions()}
    if revision not in known:
        raise BackupError(f"the backup's schema ({revision}) is newer than this version: update defectsynth first.")
    filled = [one.name for one in tables_in(connection) if _is_kept(connection, one)]
    if filled and not replace:
        raise BackupError(
            f"the database is not empty ({', '.join(filled[:4])}): name an empty one, or give --replace to lose what "
            "is in it."
        )


def _is_kept(connection: Connection, one: Table) -> bool:
    if one.name in (WorkerRow.__tablename__, SweepRow.__tablename__):
        return False
    return connection.execute(select(1).select_from(one).limit(1)).first() is not None


def _empty(connection: Connection, revision: str) -> None:
    """Nothing but the schema, as it was at the archive's revision."""
    for one in reversed(tables_in(connection)):
        connection.execute(delete(one))
    config = migration_config(connection)
    command.upgrade(config, "head")
    command.downgrade(config, revision)


def _insert_tables(connection: Connection, path: Path) -> None:
    tables = {one.name: one for one in tables_in(connection)}
    with members_of(path) as members:
        for member in members:
            if member.table is None:
                continue
            if member.table not in tables:
                raise BackupError(f"the backup has a table {member.table!r} that its schema does not have.")
            insert_lines(connection, tables[member.table], member.stream)


def _store_artifacts(path: Path, artifacts: ArtifactStore, manifest: Manifest, tell: Tell) -> None:
    num_stored = 0
    with members_of(path) as members:
        for member in members:
            if member.artifact is None:
                continue
            _store(artifacts, member)
            num_stored += 1
            tell(num_stored, manifest.num_artifacts)


def _store(artifacts: ArtifactStore, member: Member) -> None:
    with tempfile.NamedTemporaryFile(prefix="defectsynth-restore-") as copy:
        while chunk := member.stream.read(CHUNK_BYTES):
            copy.write(chunk)
        copy.flush()
        if artifacts.put_file(Path(copy.name)).sha256 != member.artifact:
            raise BackupError(f"{member.name} changed while it was read: the record is as it was.")


def _requeue(connection: Connection) -> None:
    """No worker holds them any more. Their tokens stay, so that the next claim has a higher one."""
    connection.execute(
        update(JobRow)
        .where(JobRow.state == JobState.RUNNING)
        .values(
            state=JobState.QUEUED, worker_id=None, lease_expires_at=None, progress=None, revision=JobRow.revision + 1
        )
    )
    connection.execute(update(JobRow).where(JobRow.state == JobState.QUEUED).values(wakeup_at=None))
