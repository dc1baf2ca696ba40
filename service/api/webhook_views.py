"""What clients get to see of webhooks, and from rows to it."""

from datetime import datetime

from pydantic import Field

from service.api.views import Links, View
from service.contracts.webhooks import (
    DeliveryError,
    DeliveryState,
    DisabledReason,
    EventType,
    WantedEvents,
    WebhookState,
)
from service.store.tables import WebhookDeliveryRow, WebhookRow


class WebhookView(View):
    """One webhook. Its secret is told when it is made, and never again."""

    id: str = Field(examples=["whk_6a1c2a9e7b3d4c1f8a6e9d0b1c2d3e4f"])
    url: str
    description: str
    events: WantedEvents
    resource_id: str | None = None
    state: WebhookState
    disabled_reason: DisabledReason | None = None
    failing_since: datetime | None = Field(default=None, description="Since when every attempt failed; null: none did.")
    created_at: datetime
    links: Links


class WebhookSecretView(WebhookView):
    """A webhook with its signing secret."""

    secret: str = Field(
        description="Keep it: it is shown this once.", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    )
    previous_secret_until: datetime | None = Field(
        default=None, description="Until then the secret before this one signs, too."
    )


class DeliveryView(View):
    """One event on its way to one webhook; what the receiver answered is told by its status alone."""

    id: str = Field(examples=["dlv_8b1c2a9e7b3d4c1f8a6e9d0b1c2d3e4f"])
    event_id: str = Field(description="Sent as `webhook-id`; the same at every attempt and replay.")
    event_type: str = Field(examples=["job.succeeded"])
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None = Field(default=None, description="Not before; null when there will be none.")
    last_attempt_at: datetime | None = None
    last_status: int | None = Field(default=None, description="HTTP status of the last answer, if there was one.")
    last_error: DeliveryError | None = Field(default=None, description="Why the last attempt had no answer.")
    created_at: datetime
    links: Links


def webhook_view(row: WebhookRow) -> WebhookView:
    """One webhook."""
    return WebhookView(
        id=row.id,
        url=row.url,
        description=row.description,
        events=[EventType(one) for one in row.events] if row.events is not None else "all",
        resource_id=row.resource_id,
        state=WebhookState(row.state),
        disabled_reason=DisabledReason(row.disabled_reason) if row.disabled_reason is not None else None,
        failing_since=row.failing_since,
        created_at=row.created_at,
        links={"self": f"/v1/webhooks/{row.id}", "deliveries": f"/v1/webhooks/{row.id}/deliveries"},
    )


def webhook_secret_view(row: WebhookRow, told: WebhookView | None = None) -> WebhookSecretView:
    """One webhook, as it is or as it was ``told`` of, to whom has just made it or rotated its secret."""
    shown = (told or webhook_view(row)).model_dump()
    return WebhookSecretView(**shown, secret=row.secret, previous_secret_until=row.previous_secret_until)


def delivery_view(row: WebhookDeliveryRow) -> DeliveryView:
    """One delivery."""
    return DeliveryView(
        id=row.id,
        event_id=row.event_id,
        event_type=row.event_type,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_attempt_at=row.last_attempt_at,
        last_status=row.last_status,
        last_error=DeliveryError(row.last_error) if row.last_error is not None else None,
        created_at=row.created_at,
        links={"replay": f"/v1/webhooks/{row.webhook_id}/deliveries/{row.id}/replay"},
    )
