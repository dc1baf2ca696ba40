"""One follower's view of its jobs, and what a look at the record finds, on both databases."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from service.api.streams import Changes, Follower, Shown, StreamLimits, Streams, read_changes
from service.contracts.ids import JobId
from service.contracts.jobs import JobKind, JobState
from service.store.database import Database
from service.store.tables import Base, JobRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE, TWO = JobId("job_1"), JobId("job_2")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


def add(database: Database, job_id: str, seconds: int = 0, **columns: Any) -> None:
    values = {"state": JobState.QUEUED, "revision": 0, **columns}
    with database.transaction() as session:
        session.add(
            JobRow(
                id=job_id, tenant_id="a", kind=JobKind.GENERATION, resource_id="gen", class_name="pits", params={},
                created_at=NOON + timedelta(seconds=seconds), **values,
            )
        )  # fmt: skip


def shown(revision: int, job_id: JobId = ONE, *, is_final: bool = False) -> Shown:
    return Shown(job_id, (revision, 0), is_final, f"{job_id} at {revision}")


def follower(*now: Shown, seen: str | None = None, seconds: float = 5.0) -> Follower:
    return Follower(now, seen, time.monotonic() + seconds)


def told(one: Follower) -> list[tuple[str, str]]:
    async def all_of_it() -> list[tuple[str, str]]:
        return [(event.id, event.json) async for event in one.events()]

    return asyncio.run(all_of_it())


def test_a_slow_reader_is_sent_the_newest_state_alone() -> None:
    one = follower(shown(1))
    for revision in range(2, 1000):
        one.offer(shown(revision))
    one.offer(shown(1000, is_final=True))
    assert told(one) == [("1000-0", "job_1 at 1000")]


def test_a_state_that_is_older_than_what_was_sent_is_not_sent_again() -> None:
    one = follower(shown(5), seen="5-0", seconds=0.05)
    one.offer(shown(4))
    one.offer(shown(5))
    assert told(one) == []


def test_who_has_seen_one_of_two_jobs_is_sent_both_and_who_has_seen_both_nothing() -> None:
    now = (shown(3), shown(4, TWO))
    assert [text for _, text in told(follower(*now, seen="3-0", seconds=0.05))] == ["job_1 at 3", "job_2 at 4"]
    assert told(follower(*now, seen="7-0", seconds=0.05)) == []


def test_a_stream_ends_when_its_last_job_was_deleted() -> None:
    one = follower(shown(1), shown(1, TWO))
    one.lose(ONE)
    one.offer(shown(2, TWO, is_final=True))
    assert [text for _, text in told(one)] == ["job_1 at 1", "job_2 at 2"]


def test_a_look_at_unchanged_jobs_is_one_query(database: Database) -> None:
    add(database, ONE, state=JobState.RUNNING, revision=3)
    queries: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: queries.append(given[2]))
    assert read_changes(database)({ONE: (3, 0)}, True) == Changes([], [])
    assert len([one for one in queries if one.startswith("SELECT")]) == 1


def test_a_look_finds_new_revisions_moved_places_and_deleted_jobs(database: Database) -> None:
    add(database, "job_0", -1)
    add(database, ONE)
    add(database, TWO, 1, state=JobState.RUNNING, revision=7)
    read = read_changes(database)
    known = {ONE: (0, 1), TWO: (6, 0), JobId("job_3"): (1, 0)}
    found = read(known, True)
    assert {one.job_id: one.version for one in found.shown} == {ONE: (0, 2), TWO: (7, 0)}
    assert found.gone == ["job_3"]
    assert [one.job_id for one in read(known, False).shown] == [TWO]


def test_a_job_that_goes_back_to_the_queue_gets_its_place_at_once(database: Database) -> None:
    add(database, ONE, revision=4)
    (found,) = read_changes(database)({ONE: (3, 0)}, False).shown
    assert found.version == (4, 1)
    assert '"queue_position":1' in found.json


def test_what_a_newcomer_finds_is_told_to_who_was_there() -> None:
    """The tailer compares with what is known: a state that came in by another door would be told to nobody."""

    async def follow() -> list[str]:
        streams = Streams(lambda known, with_places: Changes([], []), StreamLimits(10, 10, 5.0))
        with streams.following("a", [shown(1)], "1-0") as first:
            with streams.following("b", [shown(2, is_final=True)], None):
                pass
            return [event.json async for event in first.events()]

    assert asyncio.run(follow()) == ["job_1 at 2"]


def test_a_record_that_is_away_ends_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.streams.TICK_SECONDS", 0.01)
    monkeypatch.setattr("service.api.streams._RETRY_SECONDS", 0.01)
    looks = iter([OSError("away"), Changes([shown(2, is_final=True)], [])])

    def read(known: object, with_places: bool) -> Changes:
        found = next(looks)
        if isinstance(found, OSError):
            raise found
        return found

    async def follow() -> list[str]:
        with Streams(read, StreamLimits(10, 10, 5.0)).following("a", [shown(1)], None) as one:
            return [event.json async for event in one.events()]

    assert asyncio.run(follow()) == ["job_1 at 1", "job_1 at 2"]
