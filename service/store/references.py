"""Which stored bytes the record still names: what the sweep of orphaned files must spare."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from service.contracts.jobs import JobKind, JobState
from service.store.tables import AdapterRow, GeneratedImageRow, ImageRow, JobRow, TrialExampleRow

_COLUMNS = (ImageRow.sha256, AdapterRow.archive_sha256, GeneratedImageRow.sha256, TrialExampleRow.sha256)
_SHEET = JobRow.result["contact_sheet"].as_string()


def cited(session: Session, digests: Sequence[str]) -> set[str]:
    """Those of ``digests`` (some hundreds at a time) that a row of any tenant names."""
    found = {digest for column in _COLUMNS for digest in session.scalars(select(column).where(column.in_(digests)))}
    sheets = select(_SHEET).where(JobRow.kind == JobKind.GENERATION, _SHEET.in_(digests))
    return found | set(session.scalars(sheets))


def all_cited(session: Session) -> set[str]:
    """Every digest that a row names: what a backup must hold, and of an older schema, too, which lacks tables."""
    there = set(inspect(session.connection()).get_table_names())
    columns = [column for column in _COLUMNS if column.class_.__tablename__ in there]
    found = {digest for column in columns for digest in session.scalars(select(column))}
    sheets = select(_SHEET).where(JobRow.kind == JobKind.GENERATION, _SHEET.is_not(None))
    return found | {sheet for sheet in session.scalars(sheets) if sheet is not None}


def oldest_begun(session: Session) -> datetime | None:
    """When the oldest job was queued that a worker has begun and nobody has finished: its bytes have no rows yet."""
    live = (JobState.QUEUED, JobState.RUNNING)
    return session.scalar(select(func.min(JobRow.created_at)).where(JobRow.state.in_(live), JobRow.fencing_token > 0))
