"""Webhooks: where ended work is announced, and what became of each announcement."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from defectsynth_client.calling import Call, Reading, at, get, post
from defectsynth_client.models import Answer, Page
from defectsynth_client.steps import Request


class WebhookState(StrEnum):
    """A disabled webhook is told nothing new; what was waiting for it waits on."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    """``pending -> delivered | failed``."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Webhook(Answer):
    """A webhook. ``events``: some, such as ``generation.finished``, or ``all``.
    ``disabled_reason``: ``client``, ``gone`` (the receiver answered 410)
    or ``failing``."""

    id: str
    url: str
    description: str
    events: list[str] | str
    resource_id: str | None = None
    state: WebhookState
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    created_at: datetime
    links: dict[str, str]


class WebhookWithSecret(Webhook):
    """A webhook with the secret that its messages are signed with, which is told this once: keep it."""

    secret: str
    previous_secret_until: datetime | None = None


class Delivery(Answer):
    """One event on its way to one webhook. ``event_id`` is sent as ``webhook-id``, at every attempt the same."""

    id: str
    event_id: str
    event_type: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    created_at: datetime
    links: dict[str, str]


def create_webhook(
    url: str,
    *,
    events: Sequence[str] | None = None,
    description: str | None = None,
    resource_id: str | None = None,
    idempotency_key: str | None = None,
) -> Call[WebhookWithSecret]:
    """Have the end of work sent to ``url``: all events unless some are named, of everything unless ``resource_id``
    names one adaptation, generation, evaluation, recognition or job. The answer alone holds the secret."""
    body = {"url": url, "events": _events(events), "description": description, "resource_id": resource_id}
    return post("/v1/webhooks", WebhookWithSecret, body, idempotency_key)


def webhook(webhook_id: str) -> Call[Webhook]:
    """A webhook, and whether it is enabled."""
    return get(at("webhooks", webhook_id), Webhook)


def webhooks() -> Call[Page[Webhook]]:
    """Webhooks, newest first."""
    return get("/v1/webhooks", Page[Webhook])


def change_webhook(
    webhook_id: str,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> Call[Webhook]:
    """Change what is named. Enabled again, a webhook is sent what was still waiting for it."""
    told = {"url": url, "events": _events(events), "description": description, "enabled": enabled}
    given = {name: value for name, value in told.items() if value is not None}
    return Call(Request("PATCH", at("webhooks", webhook_id), json=given), Reading(Webhook))


def rotate_secret(webhook_id: str, *, idempotency_key: str | None = None) -> Call[WebhookWithSecret]:
    """A new secret; for a day the one before signs along."""
    return post(at("webhooks", webhook_id, "rotate-secret"), WebhookWithSecret, None, idempotency_key)


def ping_webhook(webhook_id: str, *, idempotency_key: str | None = None) -> Call[Delivery]:
    """Have a ``webhook.ping`` sent; ``deliveries`` tells how that went."""
    return post(at("webhooks", webhook_id, "ping"), Delivery, None, idempotency_key)


def deliveries(webhook_id: str, *, state: DeliveryState | None = None) -> Call[Page[Delivery]]:
    """What was sent or is to be sent to a webhook, newest first."""
    return get(at("webhooks", webhook_id, "deliveries"), Page[Delivery], state=state)


def replay(webhook_id: str, delivery_id: str, *, idempotency_key: str | None = None) -> Call[Delivery]:
    """Have an event sent once more, as a delivery of its own with the same event id."""
    return post(at("webhooks", webhook_id, "deliveries", delivery_id, "replay"), Delivery, None, idempotency_key)


def _events(named: Sequence[str] | None) -> list[str] | str | None:
    return named if named is None or isinstance(named, str) else list(named)
