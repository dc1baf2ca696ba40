"""Which stored bytes the record still names: what the sweep of orphaned files must spare."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from service.contracts.jobs import JobKind, JobState
from service.store.tables import AdapterRow, GeneratedImageRow, ImageRow, JobRow, TrialExampleRow

_COLUMNS = (ImageRow.sha256, AdapterRow.archive_sha256, GeneratedImageRow.sha256, TrialExampleRow.sha256)
_LIVE = (JobState.QUEUED, JobState.RUNNING)
_SHEET = JobRow.result["contact_sheet"].as_string()


def cited(session: Session, digests: Sequence[str]) -> set[str]:
    """Those of ``digests`` (some hundreds at a time) that a row of any tenant names, contact sheets left out."""
    return {digest for column in _COLUMNS for digest in session.scalars(select(column).where(column.in_(digests)))}


def contact_sheets(session: Session) -> set[str]:
    """The digest of every contact sheet: it stands in a job's result, which no index knows, so ask for all at once."""
    sheets = select(_SHEET).where(JobRow.kind == JobKind.GENERATION, _SHEET.is_not(None))
    return {sheet for sheet in session.scalars(sheets) if sheet is not None}


def all_cited(session: Session) -> set[str]:
    """Every digest that a row names: what a backup must hold, and of an older schema, too, which lacks tables."""
    there = set(inspect(session.connection()).get_table_names())
    columns = [column for column in _COLUMNS if column.class_.__tablename__ in there]
    found = {digest for column in columns for digest in session.scalars(select(column))}
    return found | contact_sheets(session) | _kept_on_the_way(session)


def _kept_on_the_way(session: Session) -> set[str]:
    """What unfinished jobs have made and go on from; nothing in a schema that is older than that."""
    if "interim" not in {column["name"] for column in inspect(session.connection()).get_columns(JobRow.__tablename__)}:
        return set()
    interim = select(JobRow.interim).where(JobRow.state.in_(_LIVE), JobRow.interim.is_not(None))
    return {digest for one in session.scalars(interim) for digest in _digests_in(one)}


def _digests_in(value: object) -> Iterator[str]:
    """Whatever stands under ``sha256`` in a record, however deep."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "sha256" and isinstance(one, str):
                yield one
            else:
                yield from _digests_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _digests_in(one)


def oldest_begun(session: Session) -> datetime | None:
    """When the oldest job was queued that a worker has begun and nobody has finished: its bytes have no rows yet."""
    return session.scalar(select(func.min(JobRow.created_at)).where(JobRow.state.in_(_LIVE), JobRow.fencing_token > 0))
