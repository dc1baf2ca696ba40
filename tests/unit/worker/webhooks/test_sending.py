"""Deliveries to a real receiver on loopback, from a real SQLite file and a real PostgreSQL; only the clock is ours."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from service.contracts.ids import DEFAULT_TENANT, DeliveryId, EventId, WebhookId
from service.contracts.webhooks import PING, DeliveryError, DeliveryState, DisabledReason, Event, Pinged, WebhookRequest
from service.outbound import AllowList, resolve_by_system
from service.store import deliveries, webhooks
from service.store.database import Database
from service.store.tables import Base, WebhookDeliveryRow, WebhookRow
from service.webhooks import new_secret
from tests.fakes.receiver import Receiver, receiving
from worker.settings import WorkerSettings
from worker.webhooks.posting import Answer, Post, Poster
from worker.webhooks.sending import Sender

OWN = WorkerSettings(webhook_threads=4, webhook_poll_seconds=0.02)
LOOPBACK = Poster(AllowList.parse("127.0.0.1"), resolve_by_system, ssl.create_default_context(), 2.0, 5.0)


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class World:
    """A record, a clock, and senders for them."""

    database: Database
    clock: Clock

    def webhook(self, url: str, name: str = "w") -> str:
        secret = new_secret()
        with self.database.transaction() as session:
            request = WebhookRequest(url=url)
            webhooks.insert(session, DEFAULT_TENANT, WebhookId(name), request, secret, self.clock())
        return secret

    def ping(self, name: str, webhook: str = "w") -> None:
        event = Event(type=PING, timestamp=self.clock(), data=Pinged(webhook_id=webhook))
        with self.database.transaction() as session:
            row = session.get_one(WebhookRow, webhook)
            deliveries.insert(session, row, DeliveryId(name), EventId(f"evt_{name}"), event, self.clock())

    def sender(
        self, post: Post = LOOPBACK, own: WorkerSettings = OWN, draw: Callable[[], float] = lambda: 0.5
    ) -> Sender:
        return Sender(self.database, post, own, self.clock, draw)

    def send_due(self, **given: object) -> int:
        """Send one after the other whatever is due; how many."""
        sender = self.sender(**given)  # type: ignore[arg-type]
        num_sent = 0
        while (claimed := sender.claim({})) is not None:
            sender.attempt(claimed)
            num_sent += 1
        return num_sent

    def delivery(self, name: str) -> WebhookDeliveryRow:
        with self.database.reading() as session:
            return session.get_one(WebhookDeliveryRow, name)

    def row(self, name: str = "w") -> WebhookRow:
        with self.database.reading() as session:
            return session.get_one(WebhookRow, name)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    database = Database(database_url)
    Base.metadata.create_all(database.engine)
    yield World(database, Clock())
    database.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def answering(*answers: Answer) -> Post:
    left = list(answers)
    return lambda url, headers, body: left.pop(0) if len(left) > 1 else left[0]


def test_what_arrives_verifies_with_the_secret_and_with_no_other(world: World, receiver: Receiver) -> None:
    secret = world.webhook(receiver.url())
    world.ping("d")
    assert world.send_due() == 1
    [(headers, body)] = receiver.requests
    told = Webhook(secret).verify(body, headers)
    assert told["type"] == PING
    assert told["data"] == {"webhook_id": "w"}
    assert headers["webhook-id"] == "evt_d"
    for other_body, other_secret in ((body + " ", secret), (body, new_secret())):
        with pytest.raises(WebhookVerificationError):
            Webhook(other_secret).verify(other_body, headers)
    delivered = world.delivery("d")
    assert (delivered.state, delivered.last_status, delivered.next_attempt_at) == (DeliveryState.DELIVERED, 204, None)
    assert world.send_due() == 0


def test_after_a_rotation_both_secrets_sign_until_the_old_one_has_run_out(world: World, receiver: Receiver) -> None:
    old, new = world.webhook(receiver.url()), new_secret()
    with world.database.transaction() as session:
        row = session.get_one(WebhookRow, "w")
        row.previous_secret, row.secret = old, new
        row.previous_secret_until = world.clock() + timedelta(seconds=60)
    world.ping("both")
    world.send_due()
    world.clock.pass_(60)
    world.ping("new")
    world.send_due()
    (both, body), (only_new, new_body) = receiver.requests
    for secret in (old, new):
        Webhook(secret).verify(body, both)
    Webhook(new).verify(new_body, only_new)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(new_body, only_new)


def test_a_refused_event_comes_again_after_the_pause_under_the_same_id(world: World, receiver: Receiver) -> None:
    world.webhook(receiver.url())
    receiver.statuses = [500, 302, 200]
    world.ping("d")
    for pause_seconds in (5, 300):
        assert world.send_due() == 1
        assert world.row().failing_since is not None
        world.clock.pass_(pause_seconds - 1)
        assert world.send_due() == 0
        world.clock.pass_(1)
    assert world.send_due() == 1
    assert {headers["webhook-id"] for headers, _ in receiver.requests} == {"evt_d"}
    timestamps = [int(headers["webhook-timestamp"]) for headers, _ in receiver.requests]
    assert [later - timestamps[0] for later in timestamps] == [0, 5, 305]
    assert (world.delivery("d").state, world.delivery("d").attempts) == (DeliveryState.DELIVERED, 3)
    assert world.row().failing_since is None


def test_after_the_last_pause_a_delivery_has_failed(world: World) -> None:
    world.webhook("http://127.0.0.1/")
    world.ping("d")
    own = WorkerSettings(webhook_retry_seconds=(1, 1))
    for _ in range(4):
        world.send_due(own=own, post=answering(Answer(error=DeliveryError.TIMED_OUT)))
        world.clock.pass_(2)
    found = world.delivery("d")
    assert (found.state, found.attempts, found.last_error) == (DeliveryState.FAILED, 3, DeliveryError.TIMED_OUT)
    assert (found.next_attempt_at, found.last_status) == (None, None)


def test_pauses_are_drawn_within_a_tenth(world: World) -> None:
    world.webhook("http://127.0.0.1/")
    for draw in (0.0, 0.999):
        world.ping(f"d{draw}")
        world.send_due(draw=lambda draw=draw: draw, post=answering(Answer(status=500)))
    due = [world.delivery(name).next_attempt_at for name in ("d0.0", "d0.999")]
    assert due[0] == world.clock() + timedelta(seconds=4.5)
    assert due[1] is not None
    assert due[1] - world.clock() == pytest.approx(timedelta(seconds=5.5), abs=timedelta(seconds=0.01))


@pytest.mark.parametrize(
    ("status", "asked", "pause"), [(429, 60.0, 60.0), (503, 1e9, 86_400.0), (503, 1.0, 5.0), (500, 60.0, 5.0)]
)
def test_a_busy_receiver_may_put_an_event_off_for_a_day_at_most(
    world: World, status: int, asked: float, pause: float
) -> None:
    world.webhook("http://127.0.0.1/")
    world.ping("d")
    world.send_due(post=answering(Answer(status=status, retry_after_seconds=asked)))
    assert world.delivery("d").next_attempt_at == world.clock() + timedelta(seconds=pause)


def test_410_disables_the_webhook_and_what_waits_goes_on_when_it_is_enabled(world: World, receiver: Receiver) -> None:
    world.webhook(receiver.url())
    receiver.statuses = [410, 200]
    world.ping("gone")
    world.clock.pass_(1)
    world.ping("waits")
    assert world.send_due() == 1
    assert (world.row().state, world.row().disabled_reason) == ("disabled", DisabledReason.GONE)
    assert (world.delivery("gone").state, world.delivery("waits").state) == (
        DeliveryState.FAILED,
        DeliveryState.PENDING,
    )
    with world.database.transaction() as session:
        webhooks.enable(session.get_one(WebhookRow, "w"))
    assert world.send_due() == 1
    assert world.delivery("waits").state == DeliveryState.DELIVERED


def test_days_of_nothing_but_failures_disable_the_webhook_and_one_success_starts_the_days_anew(world: World) -> None:
    world.webhook("http://127.0.0.1/")
    answers = {1: 500, 2: 204, 3: 500, 4: 500, 5: 500}
    own = WorkerSettings(webhook_retry_seconds=(), webhook_disable_seconds=3 * 86_400)
    states = []
    for day in range(1, 8):
        if world.row().state == "enabled":
            world.ping(f"d{day}")
        world.send_due(own=own, post=answering(Answer(status=answers.get(day, 500))))
        states.append(world.row().state)
        world.clock.pass_(86_400)
    assert states == ["enabled"] * 5 + ["disabled"] * 2
    assert world.row().disabled_reason == DisabledReason.FAILING


def test_what_a_sender_took_and_did_not_record_is_sent_again_under_the_same_id(
    world: World, receiver: Receiver
) -> None:
    world.webhook(receiver.url())
    world.ping("d")
    killed = world.sender()
    claimed = killed.claim({})
    assert claimed is not None
    LOOPBACK(claimed.url, {"webhook-id": claimed.event_id}, b"{}")  # ... and here the process is killed.
    assert world.send_due() == 0
    world.clock.pass_(60)
    assert world.send_due() == 1
    assert [headers["webhook-id"] for headers, _ in receiver.requests] == ["evt_d", "evt_d"]
    killed.attempt(claimed)  # It was only slow, and comes back: what it writes is refused.
    assert (world.delivery("d").state, world.delivery("d").attempts) == (DeliveryState.DELIVERED, 2)


def test_a_sender_that_is_late_does_not_disturb_the_next_ones_attempt(world: World) -> None:
    world.webhook("http://127.0.0.1/")
    world.ping("d")
    late = world.sender(post=answering(Answer(status=204)))
    claimed = late.claim({})
    assert claimed is not None
    world.clock.pass_(60)
    assert world.sender().claim({}) is not None
    before = world.delivery("d")
    late.attempt(claimed)
    after = world.delivery("d")
    assert (after.state, after.attempts) == (DeliveryState.PENDING, 2)
    assert (after.next_attempt_at, after.last_status) == (before.next_attempt_at, None)


def test_a_claim_outlives_the_attempt(world: World) -> None:
    world.webhook("http://127.0.0.1/")
    world.ping("d")
    assert world.sender().claim({}) is not None
    lost_at = world.delivery("d").next_attempt_at
    assert lost_at is not None
    assert lost_at - world.clock() >= timedelta(seconds=2 * OWN.webhook_timeout_seconds)


def test_of_many_senders_one_gets_a_delivery(world: World) -> None:
    world.webhook("http://127.0.0.1/")
    num_senders = 6
    for round_ in range(5):
        world.ping(f"d{round_}")
        together = threading.Barrier(num_senders)

        def claim(_: int, together: threading.Barrier = together) -> bool:
            sender = world.sender()
            together.wait()
            return sender.claim({}) is not None

        with ThreadPoolExecutor(num_senders) as pool:
            assert sum(pool.map(claim, range(num_senders))) == 1


def test_a_webhook_that_is_deleted_during_an_attempt_takes_its_deliveries_along(world: World) -> None:
    world.webhook("http://127.0.0.1/")
    world.ping("d")

    def delete_meanwhile(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        with world.database.transaction() as session:
            session.delete(session.get_one(WebhookRow, "w"))
        return Answer(status=500)

    assert world.send_due(post=delete_meanwhile) == 1
    with world.database.reading() as session:
        assert session.scalars(select(WebhookDeliveryRow)).all() == []


def test_slow_receivers_hold_up_nobody_and_get_one_thing_at_a_time(world: World, receiver: Receiver) -> None:
    with receiving() as slow:
        slow.hold.clear()
        for name in ("s1", "s2", "s3", "s4"):
            world.webhook(slow.url(), name)
            for number in range(3):
                world.ping(f"{name}.{number}", name)
            with world.database.transaction() as session:
                session.get_one(WebhookRow, name).failing_since = world.clock()
        world.webhook(receiver.url(), "fast")
        sender = world.sender()
        sender.start()
        for _ in range(2):
            assert slow.arrived.acquire(timeout=10)
        world.clock.pass_(1)
        for number in range(5):
            world.ping(f"f{number}", "fast")
        for _ in range(5):
            assert receiver.arrived.acquire(timeout=10)
        assert slow.most_at_once == 2  # Half of the threads.
        assert receiver.most_at_once == 1
        slow.hold.set()
        sender.stop()
    assert receiver.num_at_once == 0


def test_a_record_that_is_away_does_not_end_the_sender(world: World, receiver: Receiver) -> None:
    world.webhook(receiver.url())
    failures = iter([OSError("away")])

    def clock() -> datetime:
        for error in failures:
            raise error
        return world.clock()

    sender = Sender(world.database, LOOPBACK, OWN, clock, lambda: 0.5)
    sender.start()
    world.ping("d")
    assert receiver.arrived.acquire(timeout=10)
    sender.stop()
    assert world.delivery("d").state == DeliveryState.DELIVERED


def test_old_deliveries_are_pruned(world: World) -> None:
    world.webhook("http://127.0.0.1/")
    world.ping("old")
    world.clock.pass_(10)
    world.ping("new")
    with world.database.transaction() as session:
        assert deliveries.prune(session, before=world.clock()) == 1
    assert world.delivery("new").state == DeliveryState.PENDING


def test_a_sender_that_waits_stops_at_once(world: World) -> None:
    sender = world.sender(own=WorkerSettings(webhook_poll_seconds=60))
    sender.start()
    started = time.monotonic()
    sender.stop()
    assert time.monotonic() - started < 5
