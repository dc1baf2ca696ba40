"""Webhooks: where ended jobs are announced, and what became of each announcement."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from fastapi.openapi.models import Example
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.api.dependencies import PageOf, PartsOf, Tenant
from service.api.idempotency import Once, OnceOf, Told
from service.api.views import PageView
from service.api.webhook_views import (
    DeliveryView,
    WebhookSecretView,
    WebhookView,
    delivery_view,
    webhook_secret_view,
    webhook_view,
)
from service.contracts.webhooks import DeliveryState, WebhookChange, WebhookRequest
from service.queueing import Note
from service.store import deliveries, webhooks
from service.store.tables import WebhookDeliveryRow, WebhookRow

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_DISABLED: dict[int | str, dict[str, Any]] = {409: {"description": "The webhook is disabled."}}
_EXAMPLES = {
    "everything": Example(value={"url": "https://qa.example.com/defectsynth"}),
    "one generation": Example(
        value={
            "url": "https://qa.example.com/defectsynth",
            "events": ["generation.finished"],
            "resource_id": "gen_3d4e5f60718293a4b5c6d7e8f90a1b2c",
        }
    ),
}


async def _judged_request(
    request: Annotated[WebhookRequest, Body(openapi_examples=_EXAMPLES)], parts: PartsOf, tenant: Tenant
) -> WebhookRequest:
    await parts.webhooks.judge(tenant, request.url)
    return request


async def _judged_change(request: WebhookChange, parts: PartsOf, tenant: Tenant) -> WebhookChange:
    if request.url is not None:
        await parts.webhooks.judge(tenant, request.url)
    return request


@router.post(
    "",
    status_code=201,
    response_model=WebhookSecretView,
    responses={404: {"description": "No such resource."}, 409: {"description": "There are too many webhooks."}},
)
def create_webhook(
    request: Annotated[WebhookRequest, Depends(_judged_request)], parts: PartsOf, tenant: Tenant, once: OnceOf
) -> Response:
    """Have events sent to a URL, signed with the secret that the answer holds, this once."""
    return _told_with_secret(once, request, 201, lambda note: parts.webhooks.register(tenant, request, note))


def _told_with_secret(
    once: Once, payload: BaseModel | str, status: int, make: Callable[[Note[WebhookRow]], object]
) -> Response:
    """The secret stays in the webhook's row: an answer that is given again tells the one that signs by then."""

    def tell(session: Session, row: WebhookRow) -> Told:
        location = {"Location": f"/v1/webhooks/{row.id}"} if status == 201 else {}
        return Told(webhook_secret_view(row), {**location, "Cache-Control": "no-store"}, kept=webhook_view(row))

    def retell(session: Session, kept: str) -> WebhookSecretView:
        first = WebhookView.model_validate_json(kept)
        return webhook_secret_view(webhooks.get(session, once.tenant_id, first.id), first)

    return once.answer(payload, status, make, tell, retell)


def _told_delivery(once: Once, make: Callable[[Note[WebhookDeliveryRow]], object]) -> Response:
    return once.answer("", 202, make, lambda _, row: Told(delivery_view(row), {}))


@router.get("")
def list_webhooks(parts: PartsOf, tenant: Tenant, page: PageOf) -> PageView[WebhookView]:
    """Webhooks, newest first."""
    with parts.database.reading() as session:
        found = webhooks.page(session, tenant, page)
    return PageView(items=[webhook_view(row) for row in found.items], next_cursor=found.next_cursor)


@router.get("/{webhook_id}")
def get_webhook(webhook_id: str, parts: PartsOf, tenant: Tenant) -> WebhookView:
    """A webhook, and whether it is enabled."""
    with parts.database.reading() as session:
        return webhook_view(webhooks.get(session, tenant, webhook_id))


@router.patch("/{webhook_id}")
def change_webhook(
    webhook_id: str, request: Annotated[WebhookChange, Depends(_judged_change)], parts: PartsOf, tenant: Tenant
) -> WebhookView:
    """Change what is named. Enabled again, a webhook is sent what was still waiting for it."""
    return webhook_view(parts.webhooks.change(tenant, webhook_id, request))


@router.delete("/{webhook_id}", status_code=204)
def delete_webhook(webhook_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete a webhook with its deliveries; what is waiting is not sent."""
    parts.webhooks.delete(tenant, webhook_id)


@router.post("/{webhook_id}/rotate-secret", response_model=WebhookSecretView)
def rotate_secret(webhook_id: str, parts: PartsOf, tenant: Tenant, once: OnceOf) -> Response:
    """A new signing secret; for a day the one before signs along, so that a receiver can change in peace."""
    return _told_with_secret(once, "", 200, lambda note: parts.webhooks.rotate_secret(tenant, webhook_id, note))


@router.post("/{webhook_id}/ping", status_code=202, response_model=DeliveryView, responses=_DISABLED)
def ping_webhook(webhook_id: str, parts: PartsOf, tenant: Tenant, once: OnceOf) -> Response:
    """Have a `webhook.ping` sent; its delivery tells how that went."""
    return _told_delivery(once, lambda note: parts.webhooks.ping(tenant, webhook_id, note))


@router.get("/{webhook_id}/deliveries")
def list_deliveries(
    webhook_id: str, parts: PartsOf, tenant: Tenant, page: PageOf, state: DeliveryState | None = None
) -> PageView[DeliveryView]:
    """What was sent or is to be sent, newest first."""
    with parts.database.reading() as session:
        found = deliveries.page(session, tenant, webhook_id, state, page)
    return PageView(items=[delivery_view(row) for row in found.items], next_cursor=found.next_cursor)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    response_model=DeliveryView,
    responses=_DISABLED,
)
def replay_delivery(webhook_id: str, delivery_id: str, parts: PartsOf, tenant: Tenant, once: OnceOf) -> Response:
    """Have the event sent once more, as a delivery of its own with the same event id."""
    return _told_delivery(once, lambda note: parts.webhooks.replay(tenant, webhook_id, delivery_id, note))
