"""Which stored bytes the record still names: what the sweep of orphaned files must spare."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.contracts.jobs import JobKind, JobState
from service.store.tables import AdapterRow, GeneratedImageRow, ImageRow, JobRow


def cited(session: Session, digests: Sequence[str]) -> set[str]:
    """Those of ``digests`` (some hundreds at a time) that a row of any tenant names."""
    columns = (ImageRow.sha256, AdapterRow.archive_sha256, GeneratedImageRow.sha256)
    found = {digest for column in columns for digest in session.scalars(select(column).where(column.in_(digests)))}
    sheet = JobRow.result["contact_sheet"].as_string()
    sheets = select(sheet).where(JobRow.kind == JobKind.GENERATION, sheet.in_(digests))
    return found | set(session.scalars(sheets))


def oldest_begun(session: Session) -> datetime | None:
    """When the oldest job was queued that a worker has begun and nobody has finished: its bytes have no rows yet."""
    live = (JobState.QUEUED, JobState.RUNNING)
    return session.scalar(select(func.min(JobRow.created_at)).where(JobRow.state.in_(live), JobRow.fencing_token > 0))
