"""Use cases: clients' webhooks. What is sent to them is the maintenance process's work."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from service.contracts.ids import DeliveryId, EventId, TenantId, WebhookId
from service.contracts.webhooks import (
    PING,
    DisabledReason,
    Event,
    Pinged,
    WebhookChange,
    WebhookRequest,
    WebhookState,
)
from service.errors import Conflict, HostUnresolved, NotFound
from service.lookups import Lookups
from service.outbound import AllowList, Resolve, judged_addresses, parse_url
from service.queueing import Note, nothing
from service.store import deliveries, webhooks
from service.store.database import Database
from service.store.tables import WebhookDeliveryRow, WebhookRow

#: How long the secret before the last rotation goes on signing, so that receivers can change without a gap.
OLD_SECRET_HOURS = 24
_SECRET_BYTES = 32


@dataclass(frozen=True)
class Webhooks:
    """Registers and changes webhooks for one composition root."""

    database: Database
    allow: AllowList
    resolve: Resolve
    clock: Callable[[], datetime]
    new_id: Callable[[str], str]
    max_webhooks: int
    lookups: Lookups

    async def judge(self, tenant_id: TenantId, url: str) -> None:
        """Whether anything may be sent to a URL, before it is registered; outside any transaction and request thread.

        Raises ``UrlRefused``, and ``Unavailable`` while too many names are looked up.
        """
        target = parse_url(url)
        try:
            await self.lookups.ask(tenant_id, lambda: judged_addresses(target, self.allow, self.resolve))
        except TimeoutError as error:
            waited = f"no address of the host {target.host!r} was found in {self.lookups.patience_seconds:g} seconds"
            raise HostUnresolved(waited, field="url") from error

    def register(self, tenant_id: TenantId, request: WebhookRequest, note: Note[WebhookRow] = nothing) -> WebhookRow:
        """A new webhook, of a judged URL; ``note`` ends its transaction.

        Raises ``Conflict`` where there are too many, and ``NotFound``.
        """
        with self.database.transaction() as session:
            if webhooks.num_of_tenant(session, tenant_id) >= self.max_webhooks:
                raise Conflict(
                    f"there are {self.max_webhooks} webhooks, which is the most (max_webhooks)",
                    code="too_many_webhooks",
                    remedy="Delete one that is not needed, or ask the operator to raise the limit.",
                )
            named = request.resource_id
            if named is not None and not webhooks.is_known(session, tenant_id, named):
                raise NotFound(f"there is no job and nothing with jobs of the id {named!r}", field="resource_id")
            webhook_id = WebhookId(self.new_id("whk"))
            row = webhooks.insert(session, tenant_id, webhook_id, request, new_secret(), self.clock())
            note(session, row)
            return row

    def change(self, tenant_id: TenantId, webhook_id: str, change: WebhookChange) -> WebhookRow:
        """Change what is named; a URL was judged before. Raises ``NotFound``."""
        with self.database.transaction() as session:
            row = webhooks.get(session, tenant_id, webhook_id, lock=True)
            if change.url is not None:  # Another receiver, which has not failed yet.
                row.url, row.failing_since = change.url, None
            row.description = row.description if change.description is None else change.description
            row.events = row.events if change.events is None else webhooks.stored_events(change.events)
            if change.enabled is True:
                webhooks.enable(row)
            elif change.enabled is False:
                webhooks.disable(row, DisabledReason.CLIENT)
            return row

    def delete(self, tenant_id: TenantId, webhook_id: str) -> None:
        """Delete a webhook with its deliveries, delivered or not. Raises ``NotFound``."""
        with self.database.transaction() as session:
            session.delete(webhooks.get(session, tenant_id, webhook_id, lock=True))

    def rotate_secret(self, tenant_id: TenantId, webhook_id: str, note: Note[WebhookRow] = nothing) -> WebhookRow:
        """A new secret; the one it replaces signs along for ``OLD_SECRET_HOURS``. Raises ``NotFound``."""
        with self.database.transaction() as session:
            row = webhooks.get(session, tenant_id, webhook_id, lock=True)
            row.previous_secret, row.secret = row.secret, new_secret()
            row.previous_secret_until = self.clock() + timedelta(hours=OLD_SECRET_HOURS)
            note(session, row)
            return row

    def ping(
        self, tenant_id: TenantId, webhook_id: str, note: Note[WebhookDeliveryRow] = nothing
    ) -> WebhookDeliveryRow:
        """Have a test event sent. Raises ``NotFound``; ``Conflict`` while the webhook is disabled."""
        now = self.clock()
        event = Event(type=PING, timestamp=now, data=Pinged(webhook_id=webhook_id))
        with self.database.transaction() as session:
            row = self._enabled(session, tenant_id, webhook_id)
            made = deliveries.insert(session, row, self._delivery_id(), EventId(self.new_id("evt")), event, now)
            note(session, made)
            return made

    def replay(
        self, tenant_id: TenantId, webhook_id: str, delivery_id: str, note: Note[WebhookDeliveryRow] = nothing
    ) -> WebhookDeliveryRow:
        """Have a delivery's event sent once more. Raises ``NotFound``; ``Conflict`` while the webhook is disabled."""
        with self.database.transaction() as session:
            row = self._enabled(session, tenant_id, webhook_id)
            earlier = deliveries.get(session, tenant_id, webhook_id, delivery_id)
            made = deliveries.insert_again(session, row, earlier, self._delivery_id(), self.clock())
            note(session, made)
            return made

    def _enabled(self, session: Session, tenant_id: TenantId, webhook_id: str) -> WebhookRow:
        row = webhooks.get(session, tenant_id, webhook_id)
        if row.state != WebhookState.ENABLED:
            raise Conflict(
                f"webhook {webhook_id!r} is disabled ({row.disabled_reason})",
                code="webhook_disabled",
                remedy='Enable it first: PATCH with {"enabled": true}.',
            )
        return row

    def _delivery_id(self) -> DeliveryId:
        return DeliveryId(self.new_id("dlv"))


def new_secret() -> str:
    """A signing secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
