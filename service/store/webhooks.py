"""Queries about webhooks, as clients see and change them. Their deliveries are in ``deliveries``."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from service.contracts.ids import TenantId, WebhookId
from service.contracts.webhooks import DisabledReason, WantedEvents, WebhookRequest, WebhookState
from service.errors import NotFound
from service.store.pages import Page, PageRequest, newest_first
from service.store.tables import JobRow, WebhookRow


def insert(
    session: Session, tenant_id: TenantId, webhook_id: WebhookId, request: WebhookRequest, secret: str, at: datetime
) -> WebhookRow:
    """A new webhook, enabled."""
    row = WebhookRow(
        id=webhook_id,
        tenant_id=tenant_id,
        url=request.url,
        description=request.description,
        events=stored_events(request.events),
        resource_id=request.resource_id,
        secret=secret,
        state=WebhookState.ENABLED,
        created_at=at,
    )
    session.add(row)
    session.flush()
    return row


def stored_events(events: WantedEvents) -> list[str] | None:
    """As the column holds them: null is all, those of later versions too."""
    return None if events == "all" else sorted(set(events))


def get(session: Session, tenant_id: TenantId, webhook_id: str, *, lock: bool = False) -> WebhookRow:
    """One webhook, locked until the transaction ends where that is asked for. Raises ``NotFound``."""
    query = select(WebhookRow).where(WebhookRow.id == webhook_id, WebhookRow.tenant_id == tenant_id)
    row = session.scalars(locked(query) if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no webhook {webhook_id!r}", field="webhook_id")
    return row


def page(session: Session, tenant_id: TenantId, request: PageRequest) -> Page[WebhookRow]:
    """The tenant's webhooks, newest first."""
    query = select(WebhookRow).where(WebhookRow.tenant_id == tenant_id)
    return newest_first(session, query, WebhookRow.created_at, WebhookRow.id, request)


def num_of_tenant(session: Session, tenant_id: TenantId) -> int:
    """How many webhooks a tenant has."""
    return session.scalar(select(func.count()).select_from(WebhookRow).where(WebhookRow.tenant_id == tenant_id)) or 0


def is_known(session: Session, tenant_id: TenantId, resource_id: str) -> bool:
    """Whether the tenant has a job of this id, or jobs of this resource."""
    named = or_(JobRow.id == resource_id, JobRow.resource_id == resource_id)
    return session.scalars(select(JobRow.tenant_id).where(named).limit(1)).first() == tenant_id


def listening(session: Session, job_ids: Collection[str]) -> list[WebhookRow]:
    """The enabled webhooks of the jobs' tenants, locked until the transaction ends, in one order."""
    tenant_ids = select(JobRow.tenant_id).where(JobRow.id.in_(job_ids))
    query = select(WebhookRow).where(WebhookRow.tenant_id.in_(tenant_ids), WebhookRow.state == WebhookState.ENABLED)
    return list(session.scalars(locked(query.order_by(WebhookRow.id))))


def disable(row: WebhookRow, reason: DisabledReason) -> None:
    """Send it nothing more."""
    row.state, row.disabled_reason = WebhookState.DISABLED, reason


def enable(row: WebhookRow) -> None:
    """Send to it again; its past failures do not count."""
    row.state, row.disabled_reason, row.failing_since = WebhookState.ENABLED, None, None


def lock(session: Session, webhook_id: WebhookId) -> WebhookRow | None:
    """A webhook, locked until the transaction ends; None where it is gone."""
    return session.scalars(locked(select(WebhookRow).where(WebhookRow.id == webhook_id))).one_or_none()


def locked(query: Select[WebhookRow]) -> Select[WebhookRow]:
    """Against whoever else asks for the lock, not against new deliveries that refer to the row."""
    return query.with_for_update(key_share=True, of=WebhookRow).execution_options(populate_existing=True)
