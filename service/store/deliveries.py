"""Deliveries of events to webhooks: written, claimed by a sender, settled, sent once more, pruned.

A claim moves ``next_attempt_at`` to when the attempt would count as lost and adds one to ``attempts``, by
compare-and-set: nobody else sends meanwhile, and where the sender dies the delivery is simply due again. What a sender
writes names the ``attempts`` it was given. Locks are taken in the order job, webhook, delivery.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from service.contracts.ids import DeliveryId, EventId, TenantId, WebhookId
from service.contracts.webhooks import DeliveryError, DeliveryState, Event, WebhookState
from service.errors import NotFound
from service.store import webhooks
from service.store.pages import Page, PageRequest, newest_first
from service.store.tables import Json, WebhookDeliveryRow, WebhookRow


@dataclass(frozen=True)
class Due:
    """A delivery that may be claimed."""

    delivery_id: DeliveryId
    webhook_id: WebhookId
    attempts: int


@dataclass(frozen=True, repr=False)
class ClaimedDelivery:
    """One attempt at one delivery; ``attempts`` counts from 1. Without a repr, for it holds secrets."""

    id: DeliveryId
    webhook_id: WebhookId
    event_id: EventId
    event: Json
    url: str
    secrets: tuple[str, ...]
    attempts: int


def insert(
    session: Session, webhook: WebhookRow, delivery_id: DeliveryId, event_id: EventId, event: Event, now: datetime
) -> WebhookDeliveryRow:
    """A delivery that is due at once."""
    body = event.model_dump(mode="json", exclude_none=True)
    return _insert(session, webhook, delivery_id, event_id, event.type, body, now)


def insert_again(
    session: Session, webhook: WebhookRow, earlier: WebhookDeliveryRow, delivery_id: DeliveryId, now: datetime
) -> WebhookDeliveryRow:
    """The same event once more, under its own id: a receiver that has it knows it again."""
    event_id = EventId(earlier.event_id)
    return _insert(session, webhook, delivery_id, event_id, earlier.event_type, earlier.event, now)


def _insert(
    session: Session,
    webhook: WebhookRow,
    delivery_id: DeliveryId,
    event_id: EventId,
    event_type: str,
    event: Json,
    now: datetime,
) -> WebhookDeliveryRow:
    row = WebhookDeliveryRow(
        id=delivery_id,
        tenant_id=webhook.tenant_id,
        webhook_id=webhook.id,
        event_id=event_id,
        event_type=event_type,
        event=event,
        state=DeliveryState.PENDING,
        next_attempt_at=now,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, tenant_id: TenantId, webhook_id: str, delivery_id: str) -> WebhookDeliveryRow:
    """One delivery of a webhook. Raises ``NotFound``."""
    row = session.get(WebhookDeliveryRow, delivery_id)
    if row is None or (row.tenant_id, row.webhook_id) != (tenant_id, webhook_id):
        raise NotFound(f"there is no delivery {delivery_id!r} of this webhook", field="delivery_id")
    return row


def page(
    session: Session, tenant_id: TenantId, webhook_id: str, state: DeliveryState | None, request: PageRequest
) -> Page[WebhookDeliveryRow]:
    """A webhook's deliveries, newest first. Raises ``NotFound``."""
    webhooks.get(session, tenant_id, webhook_id)
    query = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == webhook_id)
    if state is not None:
        query = query.where(WebhookDeliveryRow.state == state)
    return newest_first(session, query, WebhookDeliveryRow.created_at, WebhookDeliveryRow.id, request)


def next_due(
    session: Session, *, now: datetime, busy: Collection[WebhookId] = (), healthy_only: bool = False
) -> Due | None:
    """The delivery to send next, of a webhook that is enabled and not ``busy``: those that work come before those that
    fail, which ``healthy_only`` leaves out."""
    row = WebhookDeliveryRow
    query = (
        select(row.id, row.webhook_id, row.attempts)
        .join(WebhookRow, WebhookRow.id == row.webhook_id)
        .where(row.state == DeliveryState.PENDING, row.next_attempt_at <= now)
        .where(WebhookRow.state == WebhookState.ENABLED, WebhookRow.id.not_in(sorted(busy)))
        .order_by(WebhookRow.failing_since.is_not(None), row.next_attempt_at, row.id)
        .limit(1)
    )
    if healthy_only:
        query = query.where(WebhookRow.failing_since.is_(None))
    found = session.execute(query).first()
    return Due(DeliveryId(found[0]), WebhookId(found[1]), found[2]) if found is not None else None


def claim(session: Session, due: Due, *, now: datetime, lost_at: datetime) -> ClaimedDelivery | None:
    """Take it until ``lost_at``; None where another sender was faster, or the webhook was disabled or deleted."""
    webhook = session.get(WebhookRow, due.webhook_id)
    if webhook is None or webhook.state != WebhookState.ENABLED:
        return None
    taken = {"attempts": due.attempts + 1, "next_attempt_at": lost_at, "last_attempt_at": now}
    if not _change(session, due.delivery_id, due.attempts, taken):
        return None
    row = session.get_one(WebhookDeliveryRow, due.delivery_id)
    return ClaimedDelivery(
        id=due.delivery_id,
        webhook_id=due.webhook_id,
        event_id=EventId(row.event_id),
        event=row.event,
        url=webhook.url,
        secrets=tuple(_secrets(webhook, now)),
        attempts=due.attempts + 1,
    )


def _secrets(webhook: WebhookRow, now: datetime) -> list[str]:
    secrets = [webhook.secret]
    until = webhook.previous_secret_until
    if webhook.previous_secret is not None and until is not None and now < until:
        secrets.append(webhook.previous_secret)
    return secrets


def settle(
    session: Session,
    claimed: ClaimedDelivery,
    *,
    state: DeliveryState,
    next_attempt_at: datetime | None,
    status: int | None,
    error: DeliveryError | None,
) -> bool:
    """Write what became of an attempt; False where the delivery was taken by another sender or deleted meanwhile."""
    found = {"state": state, "next_attempt_at": next_attempt_at, "last_status": status, "last_error": error}
    return _change(session, claimed.id, claimed.attempts, found)


def prune(session: Session, *, before: datetime) -> int:
    """Delete the deliveries of events from ``before`` that time, whatever became of them; how many."""
    result = session.execute(
        delete(WebhookDeliveryRow)
        .where(WebhookDeliveryRow.created_at < before)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", result).rowcount


def _change(session: Session, delivery_id: DeliveryId, attempts: int, changes: dict[str, Any]) -> bool:
    """Compare-and-set on a delivery that is not over."""
    row = WebhookDeliveryRow
    expected = (row.id == delivery_id, row.attempts == attempts, row.state == DeliveryState.PENDING)
    statement = update(row).where(*expected).values(changes).execution_options(synchronize_session=False)
    return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1
