"""Sends due deliveries: claims one, posts it, writes what became of it, and tries again later where it must.

At least once: a sender that is killed after the receiver took an event leaves a claim that runs out, and the event is
sent again under the same ``webhook-id``. Any number of senders may run at once.

A slow receiver holds up nobody but itself. A webhook is sent one thing at a time, and those that fail get at most half
of the threads.
"""

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

from standardwebhooks.webhooks import Webhook

from service.contracts.ids import WebhookId
from service.contracts.webhooks import DeliveryState, DisabledReason
from service.logs import get_logger
from service.store import deliveries, webhooks
from service.store.database import Database
from service.store.deliveries import ClaimedDelivery
from service.store.tables import WebhookRow
from worker.settings import WorkerSettings
from worker.webhooks.posting import Answer, Post

_log = get_logger()
_GONE = 410
#: Receivers that say when to come again, and how long they may put it off.
_BUSY = (429, 503)
_MAX_RETRY_AFTER_SECONDS = 86_400.0
#: A claim outlives its attempt by far: what follows the attempt is one short transaction.
_CLAIM_TIMEOUTS, _CLAIM_SPARE_SECONDS = 2, 30


class Sender:
    """Sends from threads of its own until it is stopped. ``draw`` gives random numbers in [0, 1)."""

    def __init__(
        self,
        database: Database,
        post: Post,
        own: WorkerSettings,
        clock: Callable[[], datetime],
        draw: Callable[[], float],
    ) -> None:
        self._database = database
        self._post = post
        self._own = own
        self._clock = clock
        self._draw = draw
        self._over = threading.Event()
        self._look = threading.Event()
        self._in_flight: dict[WebhookId, Future[None]] = {}
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Send, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more, and wait for the attempts under way: at most as long as one may take."""
        self._over.set()
        self._look.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(self._own.webhook_threads, "webhook") as pool:
            while not self._over.is_set():
                self._look.clear()
                try:
                    self._start_due(pool)
                except Exception as error:  # The record is away or worse; deliveries stay due, and so does this loop.
                    _log.warning("webhooks.look_failed", error=str(error), kind=type(error).__name__)
                self._look.wait(self._own.webhook_poll_seconds)

    def _start_due(self, pool: ThreadPoolExecutor) -> None:
        """Claim while there are threads to send with."""
        self._in_flight = {name: future for name, future in self._in_flight.items() if not future.done()}
        while len(self._in_flight) < self._own.webhook_threads and not self._over.is_set():
            claimed = self.claim(self._in_flight)
            if claimed is None:
                return
            future = pool.submit(self.attempt, claimed)
            self._in_flight[claimed.webhook_id] = future
            future.add_done_callback(lambda _: self._look.set())

    def claim(self, busy: Mapping[WebhookId, object]) -> ClaimedDelivery | None:
        """The next delivery, for this sender alone; looking for it writes nothing."""
        now = self._clock()
        healthy_only = 2 * len(busy) >= self._own.webhook_threads
        with self._database.reading() as session:
            due = deliveries.next_due(session, now=now, busy=busy.keys(), healthy_only=healthy_only)
        if due is None:
            return None
        lost_seconds = _CLAIM_TIMEOUTS * self._own.webhook_timeout_seconds + _CLAIM_SPARE_SECONDS
        with self._database.transaction() as session:
            return deliveries.claim(session, due, now=now, lost_at=now + timedelta(seconds=lost_seconds))

    def attempt(self, claimed: ClaimedDelivery) -> None:
        """Post it and write what became of it."""
        try:
            body = json.dumps(claimed.event, ensure_ascii=False, separators=(",", ":"))
            answer = self._post(claimed.url, signed_headers(claimed, body, self._clock()), body.encode())
            self._settle(claimed, answer)
        except Exception as error:  # Unsettled, the delivery is due again when its claim runs out.
            _log.error("webhooks.unsettled", delivery_id=claimed.id, error=str(error), kind=type(error).__name__)

    def _settle(self, claimed: ClaimedDelivery, answer: Answer) -> None:
        now = self._clock()
        state, next_attempt_at = self._verdict(claimed, answer, now)
        with self._database.transaction() as session:
            webhook = webhooks.lock(session, claimed.webhook_id)
            settled = webhook is not None and deliveries.settle(
                session, claimed, state=state, next_attempt_at=next_attempt_at, status=answer.status, error=answer.error
            )
            if webhook is not None and settled:
                self._note(webhook, answer, now)
        _log.info(
            "webhooks.sent", delivery_id=claimed.id, webhook_id=claimed.webhook_id, attempt=claimed.attempts,
            status=answer.status, error=answer.error, state=state, settled=settled,
        )  # fmt: skip

    def _verdict(
        self, claimed: ClaimedDelivery, answer: Answer, now: datetime
    ) -> tuple[DeliveryState, datetime | None]:
        """The state after this attempt, and when the next one is due."""
        if answer.is_accepted:
            return DeliveryState.DELIVERED, None
        pauses = self._own.webhook_retry_seconds
        if answer.status == _GONE or claimed.attempts > len(pauses):
            return DeliveryState.FAILED, None
        # Give or take a tenth, so that what failed together does not come back together.
        pause_seconds = pauses[claimed.attempts - 1] * (0.9 + 0.2 * self._draw())
        if answer.status in _BUSY and answer.retry_after_seconds is not None:
            pause_seconds = max(pause_seconds, min(answer.retry_after_seconds, _MAX_RETRY_AFTER_SECONDS))
        return DeliveryState.PENDING, now + timedelta(seconds=pause_seconds)

    def _note(self, webhook: WebhookRow, answer: Answer, now: datetime) -> None:
        """What the attempt says of the webhook, whose row is locked."""
        if answer.is_accepted:
            webhook.failing_since = None
            return
        webhook.failing_since = webhook.failing_since or now
        if answer.status == _GONE:
            self._disable(webhook, DisabledReason.GONE)
        elif now - webhook.failing_since >= timedelta(seconds=self._own.webhook_disable_seconds):
            self._disable(webhook, DisabledReason.FAILING)

    def _disable(self, webhook: WebhookRow, reason: DisabledReason) -> None:
        webhooks.disable(webhook, reason)
        _log.warning("webhooks.disabled", webhook_id=webhook.id, reason=reason)


def signed_headers(claimed: ClaimedDelivery, body: str, now: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks, signed with each secret in force."""
    signatures = [Webhook(secret).sign(claimed.event_id, now, body) for secret in claimed.secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "defectsynth-webhooks",
        "webhook-id": claimed.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
