"""Orphans: stored bytes that no row names, left by refused uploads, lost attempts and deleted resources."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from service.store.artifacts import ArtifactStore
from service.store.database import Database
from service.store.references import cited, contact_sheets, oldest_begun

#: Digests looked up by one statement.
BATCH = 500


def remove_orphans(database: Database, artifacts: ArtifactStore, now: datetime, keep_seconds: float) -> int:
    """Delete what no row names and what was put more than ``keep_seconds`` ago; how many.

    Bytes are stored before their rows, so the young are spared, and so is whatever was put since the oldest job began
    that may still publish it, however long that job takes.
    """
    put_before = now - timedelta(seconds=keep_seconds)
    with database.reading() as session:
        begun_at = oldest_begun(session)
        sheets = contact_sheets(session)  # One that comes later is younger than ``put_before``.
    if begun_at is not None:
        put_before = min(put_before, begun_at)
    num_removed = 0
    for digests in _old(artifacts, put_before):
        with database.reading() as session:
            orphans = set(digests) - sheets - cited(session, digests)
        num_removed += sum(artifacts.discard(sha256, put_before) for sha256 in orphans)
    artifacts.tidy(put_before)
    return num_removed


def _old(artifacts: ArtifactStore, put_before: datetime) -> Iterator[list[str]]:
    """What was put long enough ago, some hundreds at a time."""
    batch: list[str] = []
    for sha256, put_at in artifacts.stored():
        if put_at < put_before:
            batch.append(sha256)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
