"""Queries about jobs, as clients see and cancel them. Claims and leases are in ``leases``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Integer,
    ScalarSelect,
    SQLColumnExpression,
    String,
    Text,
    bindparam,
    case,
    func,
    select,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session, aliased

from service.contracts.ids import AdapterId, JobId, TenantId
from service.contracts.jobs import JobKind, JobState
from service.contracts.words import Word
from service.store.base import checked
from service.store.events import record_ended
from service.store.pages import Page, PageRequest, newest_first
from service.store.tables import JobRow, Json, UtcDateTime
from service.store.tombstones import missing

LIVE_STATES = (JobState.QUEUED, JobState.RUNNING)
_MAX_VALUES = 1_000

_PRIORITY, _CREATED_AT = bindparam("priority", type_=Integer), bindparam("created_at", type_=UtcDateTime)


_OTHER = aliased(JobRow)


def _num_queued(*before: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(_OTHER).where(_OTHER.state == JobState.QUEUED, *before).scalar_subquery()


def _num_before(
    priority: SQLColumnExpression[int], created_at: SQLColumnExpression[datetime], job_id: SQLColumnExpression[str]
) -> ColumnElement[int]:
    """Three counts, each a range of the index `job_runnable`: one condition with OR reads every queued row, five times
    slower at a thousand of them."""
    return (
        _num_queued(_OTHER.priority > priority)
        + _num_queued(_OTHER.priority == priority, _OTHER.created_at < created_at)
        + _num_queued(_OTHER.priority == priority, _OTHER.created_at == created_at, _OTHER.id < job_id)
    )


def _as_text(column: SQLColumnExpression[Json | None]) -> ColumnElement[str | None]:
    return func.nullif(sql_cast(column, Text), "null")


#: Built once: pollers ask for these all the time, and building them costs more than running them.
_NUM_BEFORE = select(_num_before(_PRIORITY, _CREATED_AT, bindparam("job_id", type_=String)))
_POLLED = select(
    *(JobRow.id, JobRow.kind, JobRow.state, JobRow.resource_id, JobRow.class_name, JobRow.adapter_id),
    *(_as_text(JobRow.progress), _as_text(JobRow.result), _as_text(JobRow.failure)),
    case((JobRow.state == JobState.QUEUED, _num_before(JobRow.priority, JobRow.created_at, JobRow.id) + 1)),
    *(JobRow.attempts, JobRow.revision),
    *(JobRow.created_at, JobRow.started_at, JobRow.finished_at, JobRow.cancel_requested_at),
).where(JobRow.id == bindparam("job_id"), JobRow.tenant_id == bindparam("tenant_id"))


class PolledJob(NamedTuple):
    """What a poll shows of a job. ``progress``, ``result`` and ``failure`` are JSON: who has them already, as most who
    ask have, pays for no parsing."""

    id: str
    kind: str
    state: str
    resource_id: str
    class_name: str
    adapter_id: str | None
    progress: str | None
    result: str | None
    failure: str | None
    queue_position: int | None
    attempts: int
    revision: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a list shows; None means any."""

    kind: JobKind | None = None
    state: JobState | None = None
    resource_id: str | None = None
    class_name: str | None = None


def insert(
    session: Session,
    tenant_id: TenantId,
    job_id: JobId,
    kind: JobKind,
    resource_id: str,
    class_name: str,
    params: Word,
    at: datetime,
    adapter_id: AdapterId | None = None,
    priority: int = 0,
    request_id: str | None = None,
) -> JobRow:
    """A queued job. ``request_id``: of the request that submits it."""
    row = JobRow(
        id=job_id,
        tenant_id=tenant_id,
        kind=kind,
        request_id=request_id,
        resource_id=resource_id,
        class_name=class_name,
        state=JobState.QUEUED,
        params=params.model_dump(mode="json"),
        adapter_id=adapter_id,
        priority=priority,
        created_at=at,
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, tenant_id: TenantId, job_id: str) -> JobRow:
    """One job. Raises ``NotFound``."""
    row = session.get(JobRow, job_id)
    if row is None or row.tenant_id != tenant_id:
        raise missing(session, tenant_id, "job", job_id)
    return row


def polled(connection: Connection, tenant_id: TenantId, job_id: str) -> PolledJob | None:
    """One job with its place in the queue, by one statement; None where the tenant has no such job."""
    row = connection.execute(_POLLED, {"job_id": job_id, "tenant_id": tenant_id}).one_or_none()
    return PolledJob._make(row) if row is not None else None


def page(session: Session, tenant_id: TenantId, which: JobFilter, request: PageRequest) -> Page[JobRow]:
    """The tenant's jobs, newest first."""
    query = select(JobRow).where(JobRow.tenant_id == tenant_id, *_conditions(which))
    return newest_first(session, query, JobRow.created_at, JobRow.id, request)


def _conditions(which: JobFilter) -> list[ColumnElement[bool]]:
    wanted = (
        (JobRow.kind, which.kind),
        (JobRow.state, which.state),
        (JobRow.resource_id, which.resource_id),
        (JobRow.class_name, which.class_name),
    )
    return [column == value for column, value in wanted if value is not None]


def of_resources(session: Session, tenant_id: TenantId, resource_ids: Sequence[str]) -> list[JobRow]:
    """The jobs of adaptations, generations or evaluations, in the order of class names."""
    query = (
        select(JobRow)
        .where(JobRow.resource_id.in_(resource_ids), checked(JobRow.tenant_id == tenant_id))
        .order_by(JobRow.class_name, JobRow.created_at, JobRow.id)
    )
    return list(session.scalars(query))


def latest_result(session: Session, tenant_id: TenantId, kind: JobKind, param: str, value: str) -> Json | None:
    """Of the latest of the tenant's jobs of a kind that has succeeded with this value of a parameter."""
    query = select(JobRow.result).where(
        JobRow.tenant_id == tenant_id,
        JobRow.kind == kind,
        JobRow.state == JobState.SUCCEEDED,
        JobRow.params[param].as_string() == value,
    )
    return session.scalar(query.order_by(JobRow.created_at.desc()).limit(1))


def by_ids(session: Session, job_ids: Sequence[JobId]) -> list[JobRow]:
    """Those of the jobs that there are, whoever's they are."""
    return [row for some in _chunks(job_ids) for row in session.scalars(select(JobRow).where(JobRow.id.in_(some)))]


def revisions(session: Session, job_ids: Sequence[JobId]) -> dict[JobId, int]:
    """Of those of the jobs that there are, whoever's they are."""
    columns = select(JobRow.id, JobRow.revision)
    found = (session.execute(columns.where(JobRow.id.in_(some))) for some in _chunks(job_ids))
    return {JobId(job_id): revision for rows in found for job_id, revision in rows}


def _chunks(job_ids: Sequence[JobId]) -> Iterator[Sequence[JobId]]:
    """As many as a statement may have values on either database."""
    for begin in range(0, len(job_ids), _MAX_VALUES):
        yield job_ids[begin : begin + _MAX_VALUES]


def live_of_kind(session: Session, tenant_id: TenantId, kind: JobKind) -> list[JobRow]:
    """The tenant's queued and running jobs of one kind."""
    live = select(JobRow).where(JobRow.state.in_(LIVE_STATES), JobRow.kind == kind)
    return list(session.scalars(live.where(checked(JobRow.tenant_id == tenant_id))))


def num_queued(session: Session, tenant_id: TenantId | None = None) -> int:
    """Queued jobs of all tenants, or of one."""
    query = select(func.count()).select_from(JobRow).where(JobRow.state == JobState.QUEUED)
    return session.scalar(query if tenant_id is None else query.where(JobRow.tenant_id == tenant_id)) or 0


def queue_position(session: Session, row: JobRow) -> int | None:
    """How many queued jobs come before this one, plus one; None when it is not queued. An estimate: workers may
    prefer a job that suits what they hold."""
    if row.state != JobState.QUEUED:
        return None
    place = {"priority": row.priority, "created_at": row.created_at, "job_id": row.id}
    return (session.scalar(_NUM_BEFORE, place) or 0) + 1


def queue_places(session: Session) -> dict[JobId, int]:
    """What `queue_position` tells, of all queued jobs at once."""
    in_order = select(JobRow.id).where(JobRow.state == JobState.QUEUED)
    in_order = in_order.order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.id)
    return {JobId(job_id): place for place, job_id in enumerate(session.scalars(in_order), start=1)}


def request_cancel(session: Session, tenant_id: TenantId, job_id: str, at: datetime) -> JobRow:
    """Cancel a queued job at once, ask a running one to stop, leave a final one alone. Raises ``NotFound``.

    Compare-and-set: a worker may claim or finish the job at this very moment.
    """
    row = get(session, tenant_id, job_id)
    mine = (JobRow.id == job_id, JobRow.tenant_id == tenant_id)
    bumped = {"cancel_requested_at": at, "revision": JobRow.revision + 1}
    session.execute(
        update(JobRow)
        .where(*mine, JobRow.state == JobState.RUNNING, JobRow.cancel_requested_at.is_(None))
        .values(**bumped)
        .execution_options(synchronize_session=False)
    )
    canceled = session.execute(
        update(JobRow)
        .where(*mine, JobRow.state == JobState.QUEUED)
        .values(state=JobState.CANCELED, finished_at=at, interim=None, **bumped)
        .execution_options(synchronize_session=False)
    )
    if cast("CursorResult[Any]", canceled).rowcount == 1:
        record_ended(session, [job_id], at)
    session.refresh(row)
    return row


def delete_of_resources(session: Session, tenant_id: TenantId, resource_ids: Sequence[str]) -> None:
    """Delete the jobs of resources that are deleted."""
    of_them = sql_delete(JobRow).where(JobRow.resource_id.in_(resource_ids))
    session.execute(of_them.where(checked(JobRow.tenant_id == tenant_id)))


def mark_woken(session: Session, job_ids: Sequence[str], at: datetime) -> None:
    """Note that a message was sent for each job."""
    session.execute(
        update(JobRow).where(JobRow.id.in_(job_ids)).values(wakeup_at=at).execution_options(synchronize_session=False)
    )
