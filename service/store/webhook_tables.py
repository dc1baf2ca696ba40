"""The tables of webhooks and of what is sent to them."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.store.base import Base, Json


class WebhookRow(Base):
    """Where a tenant's events are sent. ``events`` and ``resource_id``: only these; null means any.

    ``failing_since``: no attempt has been accepted since then; null while all is well. ``previous_secret`` signs beside
    ``secret`` until ``previous_secret_until``.
    """

    __tablename__ = "webhook"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(index=True)
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str]
    events: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    resource_id: Mapped[str | None]
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_secret_until: Mapped[datetime | None]
    state: Mapped[str]
    disabled_reason: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    created_at: Mapped[datetime]


class WebhookDeliveryRow(Base):
    """One event on its way to one webhook. ``attempts`` grows with every claim and so fences what senders write.

    ``next_attempt_at``: not before; while an attempt is under way, when it counts as lost. Null once it is over.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("webhook_delivery_due", "state", "next_attempt_at"),
        Index("webhook_delivery_of_webhook", "webhook_id", "created_at", "id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    event_id: Mapped[str]
    event_type: Mapped[str]
    event: Mapped[Json]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
