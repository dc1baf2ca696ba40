import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from service.contracts.ids import JobId
from service.contracts.jobs import JobKind, JobState
from service.settings import Settings
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from service.store.tables import JobRow, WorkerRow
from worker.lifecycle import utc_now
from worker.maintenance import Maintenance
from worker.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    with database.transaction() as session:
        for state in (JobState.QUEUED, JobState.RUNNING, JobState.FAILED):
            session.add(
                JobRow(
                    id=f"job_{state}", tenant_id="a", kind=JobKind.EVALUATION, resource_id="evl", class_name="pits",
                    state=state, params={}, created_at=utc_now(), lease_expires_at=utc_now() + timedelta(hours=1),
                )
            )  # fmt: skip
        for name, age in (("new", timedelta()), ("gone", timedelta(days=1))):
            session.add(WorkerRow(id=name, device="cpu", rss_bytes=0, seen_at=utc_now() - age))
    yield database
    database.close()


@pytest.fixture
def artifacts(settings: Settings) -> LocalArtifacts:
    return LocalArtifacts(settings.artifacts_dir)


def test_scratch_folders_of_final_and_unknown_jobs_are_removed_and_no_others(
    database: Database, artifacts: LocalArtifacts, settings: Settings
) -> None:
    work_dir = settings.data_dir / "work"
    for name in ("job_queued", "job_running", "job_failed", "job_unknown"):
        (work_dir / name / "checkpoints").mkdir(parents=True)
    Maintenance(database, artifacts, settings, WorkerSettings(), lambda job_id: None).sweep_once()
    assert sorted(folder.name for folder in work_dir.iterdir()) == ["job_queued", "job_running"]


def test_a_broker_that_is_away_ends_no_sweep_and_the_row_is_due_again_later(
    database: Database, artifacts: LocalArtifacts, settings: Settings
) -> None:
    def away(job_id: JobId) -> None:
        raise ConnectionError("refused")

    sent: list[JobId] = []
    own = WorkerSettings(resend_seconds=1e-6)
    assert Maintenance(database, artifacts, settings, own, away).sweep_once().unsent
    Maintenance(database, artifacts, settings, own, sent.append).sweep_once()
    assert sent == ["job_queued"]


def test_workers_unseen_for_long_are_forgotten(
    database: Database, artifacts: LocalArtifacts, settings: Settings
) -> None:
    Maintenance(database, artifacts, settings, WorkerSettings(), lambda job_id: None).sweep_once()
    with database.reading() as session:
        assert session.get(WorkerRow, "new") is not None
        assert session.get(WorkerRow, "gone") is None


def test_orphans_are_removed_beside_the_sweep_and_what_is_young_stays(
    database: Database, artifacts: LocalArtifacts, settings: Settings
) -> None:
    with database.transaction() as session:
        session.execute(update(JobRow).values(state=JobState.FAILED))
    maintenance = Maintenance(database, artifacts, settings, WorkerSettings(), lambda job_id: None)
    put_days_ago(artifacts, b"orphan", 2)
    put_days_ago(artifacts, b"young", 0)
    maintenance.sweep_once()
    assert len(list(artifacts.stored())) == 2
    maintenance.keep_house()
    assert len(list(artifacts.stored())) == 1


def put_days_ago(artifacts: LocalArtifacts, data: bytes, days: float) -> None:
    at = (utc_now() - timedelta(days=days)).timestamp()
    os.utime(artifacts.path_of(artifacts.put_bytes(data).sha256), (at, at))
