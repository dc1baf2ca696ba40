import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from service.contracts.adaptations import AdaptationSettings
from service.contracts.ids import DEFAULT_TENANT, AdaptationId, Sha256, VersionId
from service.contracts.jobs import JobKind, JobState
from service.contracts.search import TrialExample
from service.store import adaptations, trial_examples
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from service.store.tables import DatasetRow, DatasetVersionRow, GeneratedImageRow, GenerationRow, JobRow
from worker.lifecycle import utc_now
from worker.orphans import remove_orphans

DAY = timedelta(days=1)
NOW = utc_now()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path / "artifacts")


def put(artifacts: LocalArtifacts, data: bytes, at: datetime) -> str:
    sha256 = artifacts.put_bytes(data).sha256
    os.utime(artifacts.path_of(sha256), (at.timestamp(), at.timestamp()))
    return sha256


def job(state: JobState, created_at: datetime, fencing_token: int = 1, **columns: object) -> JobRow:
    return JobRow(
        id=f"job_{state}_{fencing_token}", tenant_id=DEFAULT_TENANT, kind=JobKind.GENERATION, resource_id="gen_1",
        class_name="pits", state=state, params={}, created_at=created_at, fencing_token=fencing_token, **columns,
    )  # fmt: skip


def add_example(session: Session, sha256: str) -> None:
    """With the adaptation whose search made it."""
    session.add(DatasetRow(id="ds_1", tenant_id=DEFAULT_TENANT, name="surfaces", created_at=NOW))
    session.flush()
    session.add(
        DatasetVersionRow(
            id="dsv_1", tenant_id=DEFAULT_TENANT, dataset_id="ds_1", number=1, created_at=NOW, warnings=[]
        )
    )
    session.flush()
    adaptations.insert(
        session, DEFAULT_TENANT, AdaptationId("adn_1"), VersionId("dsv_1"), "mini", AdaptationSettings(), NOW
    )
    example = TrialExample(
        trial=0, number=0, sha256=Sha256(sha256), size_bytes=1, width_px=1, height_px=1, seed=0, source_image_id=None
    )
    trial_examples.replace(session, DEFAULT_TENANT, AdaptationId("adn_1"), "pits", [example])


def remaining(artifacts: LocalArtifacts) -> set[str]:
    return {sha256 for sha256, _ in artifacts.stored()}


def test_only_what_is_old_and_named_by_no_row_is_removed(database: Database, artifacts: LocalArtifacts) -> None:
    put(artifacts, b"old orphan", NOW - 2 * DAY)
    young = put(artifacts, b"young orphan", NOW - DAY / 2)
    image, sheet = put(artifacts, b"image", NOW - 9 * DAY), put(artifacts, b"sheet", NOW - 9 * DAY)
    with database.transaction() as session:
        session.add(GenerationRow(id="gen_1", tenant_id=DEFAULT_TENANT, seed=0, settings={}, created_at=NOW))
        session.flush()
        session.add(
            GeneratedImageRow(
                generation_id="gen_1", class_name="pits", number=0, tenant_id=DEFAULT_TENANT, job_id="job_1", mode="L",
                sha256=image, size_bytes=5, width_px=1, height_px=1, seed=0,
            )
        )  # fmt: skip
        session.add(job(JobState.SUCCEEDED, NOW - 9 * DAY, result={"contact_sheet": sheet}))
        shown = put(artifacts, b"example of a trial", NOW - 9 * DAY)
        add_example(session, shown)
    assert remove_orphans(database, artifacts, NOW, DAY.total_seconds()) == 1
    assert remaining(artifacts) == {young, image, sheet, shown}


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.QUEUED])
def test_what_a_long_job_stored_is_spared_until_it_is_final(
    database: Database, artifacts: LocalArtifacts, state: JobState
) -> None:
    put(artifacts, b"from before the job", NOW - 5 * DAY)
    its = put(artifacts, b"from the job", NOW - 2 * DAY)
    with database.transaction() as session:
        session.add(job(state, NOW - 3 * DAY))
        session.add(job(JobState.QUEUED, NOW - 9 * DAY, fencing_token=0))
    remove_orphans(database, artifacts, NOW, DAY.total_seconds())
    assert remaining(artifacts) == {its}
    with database.transaction() as session:
        session.get_one(JobRow, f"job_{state}_1").state = JobState.FAILED
    remove_orphans(database, artifacts, NOW, DAY.total_seconds())
    assert remaining(artifacts) == set()


def test_more_orphans_than_one_statement_looks_up_are_all_removed(
    database: Database, artifacts: LocalArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.orphans.BATCH", 3)
    for number in range(7):
        put(artifacts, bytes([number]), NOW - 2 * DAY)
    assert remove_orphans(database, artifacts, NOW, DAY.total_seconds()) == 7
