"""Leases that are watched, on a stopwatch that a test sets."""

from datetime import UTC, datetime, timedelta

from service.contracts.jobs import JobKind, JobState
from service.store.lease_watch import LeaseWatch
from service.store.tables import JobRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def running(expires_at: datetime, token: int = 1) -> JobRow:
    return JobRow(
        id="job", tenant_id="a", kind=JobKind.GENERATION, resource_id="gen", class_name="pits", state=JobState.RUNNING,
        params={}, created_at=NOON, fencing_token=token, lease_expires_at=expires_at,
    )  # fmt: skip


def test_a_lease_runs_out_by_the_stopwatch_whatever_clock_it_was_dated_by() -> None:
    seconds = [0.0]
    watch = LeaseWatch(30, stopwatch=lambda: seconds[0])
    for years in (-5, 0, 5):
        dated = running(NOON + timedelta(days=365 * years))
        assert watch([dated]) == []
        seconds[0] += 30
        assert watch([dated]) == []
        seconds[0] += 1
        assert watch([dated]) == [dated]


def test_who_renews_keeps_the_lease_with_a_clock_that_jumps_back_too_and_a_new_holder_has_a_whole_one() -> None:
    seconds = [0.0]
    watch = LeaseWatch(30, stopwatch=lambda: seconds[0])
    for renewal in range(10):
        assert watch([running(NOON - timedelta(hours=renewal))]) == []
        seconds[0] += 29
    assert watch([]) == []
    seconds[0] += 29
    assert watch([running(NOON - timedelta(hours=9), token=2)]) == []
