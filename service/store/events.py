"""What ended becomes deliveries, in the transaction that ends it: no event is lost, and none is of what did not end."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.contracts.ids import DeliveryId, EventId, TenantId
from service.contracts.jobs import JobFailure, JobKind, JobState
from service.contracts.webhooks import Event, EventType, FailureNote, JobEnded, ResourceFinished
from service.store import deliveries, webhooks
from service.store.tables import JobRow, WebhookRow

#: Receivers take small bodies; the job itself has the whole message.
_MAX_MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True)
class _Happened:
    """An event with what decides who is told."""

    id: EventId
    tenant_id: TenantId
    subjects: frozenset[str]
    event: Event


def record_ended(session: Session, job_ids: Sequence[str], now: datetime) -> None:
    """Write a delivery to each webhook that wants to know of these jobs, which this transaction has just ended.

    Call it when the transaction has changed the last job row that it will change: webhooks are locked after jobs, by
    everybody, and so nobody waits in a circle. The lock also makes jobs of one resource that end at the same moment
    see each other, so that exactly one of them is the last.
    """
    if not job_ids:
        return
    told = webhooks.listening(session, job_ids)
    if not told:
        return
    ended = select(JobRow).where(JobRow.id.in_(job_ids)).order_by(JobRow.id)
    rows = session.scalars(ended.execution_options(populate_existing=True)).all()
    for happened in [*(_job_ended(row, now) for row in rows), *_resources_finished(session, rows, now)]:
        _deliver(session, happened, told, now)


def _deliver(session: Session, happened: _Happened, told: Iterable[WebhookRow], now: datetime) -> None:
    for webhook in told:
        if webhook.tenant_id == happened.tenant_id and _wants(webhook, happened):
            # Made from what it is a delivery of, so that the database itself refuses a second one.
            delivery_id = DeliveryId(_derived("dlv", happened.id, webhook.id))
            deliveries.insert(session, webhook, delivery_id, happened.id, happened.event, now)


def _wants(webhook: WebhookRow, happened: _Happened) -> bool:
    if webhook.events is not None and happened.event.type not in webhook.events:
        return False
    return webhook.resource_id is None or webhook.resource_id in happened.subjects


def _job_ended(row: JobRow, now: datetime) -> _Happened:
    kind, state = JobKind(row.kind), JobState(row.state)
    data = JobEnded(
        job_id=row.id,
        kind=kind,
        resource_id=row.resource_id,
        class_name=row.class_name,
        state=state,
        failure=_note(JobFailure.model_validate(row.failure)) if row.failure is not None else None,
        links={"job": f"/v1/jobs/{row.id}", "resource": kind.path_of(row.resource_id)},
    )
    event = Event(type=EventType(f"job.{state}"), timestamp=now, data=data)
    return _Happened(_event_id(event, row.id), TenantId(row.tenant_id), frozenset((row.id, row.resource_id)), event)


def _resources_finished(session: Session, ended: Sequence[JobRow], now: datetime) -> Iterator[_Happened]:
    for resource_id, row in {row.resource_id: row for row in ended}.items():
        counts = _num_jobs(session, row)
        if not all(state.is_final for state in counts):
            continue
        kind = JobKind(row.kind)
        data = ResourceFinished(
            kind=kind,
            resource_id=resource_id,
            state=next(one for one in (JobState.FAILED, JobState.CANCELED, JobState.SUCCEEDED) if one in counts),
            num_jobs=counts,
            links={"resource": kind.path_of(resource_id)},
        )
        event = Event(type=EventType(f"{kind}.finished"), timestamp=now, data=data)
        yield _Happened(_event_id(event, resource_id), TenantId(row.tenant_id), frozenset((resource_id,)), event)


def _num_jobs(session: Session, row: JobRow) -> dict[JobState, int]:
    of_resource = (JobRow.resource_id == row.resource_id, JobRow.tenant_id == row.tenant_id)
    counts = session.execute(select(JobRow.state, func.count()).where(*of_resource).group_by(JobRow.state))
    return {JobState(state): count for state, count in counts}


def _note(failure: JobFailure) -> FailureNote:
    return FailureNote(
        code=failure.code, message=failure.message[:_MAX_MESSAGE_CHARACTERS],
        remedy=failure.remedy[:_MAX_MESSAGE_CHARACTERS],
    )  # fmt: skip


def _event_id(event: Event, subject_id: str) -> EventId:
    """The same for every webhook and at every attempt; a job or resource ends once."""
    return EventId(_derived("evt", event.type, subject_id))


def _derived(prefix: str, *parts: str) -> str:
    return f"{prefix}_{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:32]}"
