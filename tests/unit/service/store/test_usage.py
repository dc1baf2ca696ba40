"""The ledger of what tenants used: exact, kept for its window, and out of reach of every deletion."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from service.contracts.ids import DEFAULT_TENANT, TenantId
from service.contracts.jobs import JobKind, JobState
from service.store import usage
from service.store.database import Database
from service.store.retention import Retention, expire
from service.store.tables import GenerationRow, JobRow, UsageRow
from service.store.usage import SLOT, WINDOW, Usage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B = TenantId("a"), TenantId("b")


def used(database: Database, now: datetime, tenant_id: TenantId = A, kind: Usage = Usage.IMAGES) -> float:
    with database.reading() as session:
        return usage.of_tenant(session, tenant_id, kind, now).amount


def add(database: Database, amount: float, at: datetime, tenant_id: TenantId = A, kind: Usage = Usage.IMAGES) -> None:
    with database.transaction() as session:
        usage.add(session, tenant_id, kind, amount, at)


def num_rows(database: Database) -> int:
    with database.reading() as session:
        return session.query(UsageRow).count()


def test_what_many_count_at_once_is_one_row_and_nothing_is_lost(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: add(database, number, NOON), range(100)))
    assert (used(database, NOON), num_rows(database)) == (sum(range(100)), 1)


def test_tenants_and_kinds_are_counted_apart(database: Database) -> None:
    add(database, 3, NOON)
    add(database, 5, NOON, tenant_id=B)
    add(database, 0.25, NOON, kind=Usage.DEVICE_SECONDS)
    add(database, 0, NOON, kind=Usage.UPLOADED_BYTES)
    assert (used(database, NOON), used(database, NOON, B)) == (3, 5)
    assert used(database, NOON, kind=Usage.DEVICE_SECONDS) == 0.25
    assert num_rows(database) == 3


def test_what_was_used_counts_for_a_day_and_at_most_ten_minutes(database: Database) -> None:
    for minutes in range(0, 60, 5):
        add(database, 1, NOON + timedelta(minutes=minutes))
    assert num_rows(database) == 6
    assert used(database, NOON + WINDOW) == 12
    assert used(database, NOON + WINDOW + SLOT - timedelta(seconds=1)) == 12
    assert used(database, NOON + WINDOW + SLOT) == 10
    assert used(database, NOON + WINDOW + timedelta(hours=1)) == 0


def test_how_long_to_wait_is_until_enough_and_not_merely_something_has_left(database: Database) -> None:
    for hours, amount in ((0, 2), (1, 5), (2, 3)):
        add(database, amount, NOON + timedelta(hours=hours))
    now = NOON + timedelta(hours=3)
    with database.reading() as session:
        found = usage.of_tenant(session, A, Usage.IMAGES, now)
    told = [found.seconds_until(lambda left, most=most: left <= most, now) / 3600 for most in (8, 7, 3, 2, 0)]  # type: ignore[misc]
    assert [hours - SLOT / timedelta(hours=1) for hours in told] == [21, 22, 22, 23, 23]


def test_retention_deletes_work_and_not_what_it_used_until_no_window_reaches_that(database: Database) -> None:
    with database.transaction() as session:
        session.add(GenerationRow(id="gen", tenant_id=DEFAULT_TENANT, seed=0, settings={}, created_at=NOON))
        session.add(
            JobRow(
                id="job", tenant_id=DEFAULT_TENANT, kind=JobKind.GENERATION, resource_id="gen", class_name="pits",
                state=JobState.SUCCEEDED, params={}, created_at=NOON, finished_at=NOON, device_seconds=60,
            )
        )  # fmt: skip
        usage.add(session, DEFAULT_TENANT, Usage.DEVICE_SECONDS, 60, NOON)
    within = NOON + timedelta(hours=23)
    assert expire(database, Retention(generations_days=0.5), within) == 1
    assert used(database, within, DEFAULT_TENANT, Usage.DEVICE_SECONDS) == 60
    expire(database, Retention(), NOON + WINDOW)
    assert num_rows(database) == 1
    expire(database, Retention(), NOON + WINDOW + SLOT)
    assert num_rows(database) == 0
