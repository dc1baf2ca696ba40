"""Counts on both databases, and that no scrape reads the table itself."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from service.contracts.jobs import JobKind, JobState
from service.store import backlog
from service.store.database import Database
from service.store.tables import JobRow
from tests.fakes.query_plans import query_plans

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def fill(database: Database, *jobs: tuple[JobState, JobKind, int]) -> None:
    """(state, kind, minutes since submitted); a running one's lease ran out as long ago."""
    rows = [
        JobRow(
            id=f"job_{number}", tenant_id="a", kind=kind, resource_id="r", class_name="pits", state=state, params={},
            created_at=NOW - timedelta(minutes=minutes),
            lease_expires_at=NOW - timedelta(minutes=minutes) if state is JobState.RUNNING else None,
        )
        for number, (state, kind, minutes) in enumerate(jobs)
    ]  # fmt: skip
    with database.transaction() as session:
        session.add_all(rows)


def test_jobs_are_counted_by_state_and_kind_and_the_oldest_that_waits_is_known(database: Database) -> None:
    fill(
        database,
        (JobState.QUEUED, JobKind.GENERATION, 5),
        (JobState.QUEUED, JobKind.GENERATION, 7),
        (JobState.QUEUED, JobKind.ADAPTATION, 6),
        (JobState.SUCCEEDED, JobKind.GENERATION, 90),
        (JobState.RUNNING, JobKind.EVALUATION, 3),
        (JobState.RUNNING, JobKind.EVALUATION, -3),
    )
    with database.reading() as session:
        found = backlog.backlog(session)
        assert found.counts == {
            (JobState.QUEUED, JobKind.GENERATION): 2,
            (JobState.QUEUED, JobKind.ADAPTATION): 1,
            (JobState.SUCCEEDED, JobKind.GENERATION): 1,
            (JobState.RUNNING, JobKind.EVALUATION): 2,
        }
        minutes = {kind: (NOW - at) / timedelta(minutes=1) for kind, at in found.oldest_queued_at.items()}
        assert minutes == {JobKind.GENERATION: 7, JobKind.ADAPTATION: 6}
        assert backlog.oldest_queued_at(session) == NOW - timedelta(minutes=7)
        assert backlog.num_expired_leases(session, NOW) == 1


def test_an_empty_record_has_nothing_waiting(database: Database) -> None:
    with database.reading() as session:
        assert backlog.backlog(session).counts == {}
        assert backlog.oldest_queued_at(session) is None


def test_indexes_answer_every_query_of_a_scrape(tmp_path: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/jobs.db")
    database.migrate()

    def ask(session: Session) -> None:
        backlog.backlog(session)
        backlog.oldest_queued_at(session)
        backlog.num_expired_leases(session, NOW)

    plans = query_plans(database, ask)
    database.close()
    assert len(plans) == 4
    assert "SCAN job USING COVERING INDEX job_counted" in plans[0]
    assert all("SEARCH job USING" in plan and "INDEX" in plan for plan in plans[1:]), plans
