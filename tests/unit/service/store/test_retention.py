"""What is kept long enough goes, what is used or asked for lately stays; on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobKind, JobState
from service.errors import Gone, NotFound
from service.store import datasets, evaluations, generations
from service.store.database import Database
from service.store.deletion import delete_generation
from service.store.retention import Retention, expire
from service.store.tables import (
    AdaptationRow,
    AdapterRow,
    Base,
    DatasetRow,
    DatasetVersionRow,
    EvaluationRow,
    GeneratedImageRow,
    GenerationRow,
    JobRow,
    RecognitionRow,
)
from service.store.tombstones import Deletion

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD, NEW = NOW - timedelta(days=40), NOW - timedelta(days=5)
KINDS = {
    "adn": JobKind.ADAPTATION, "gen": JobKind.GENERATION, "evl": JobKind.EVALUATION, "rec": JobKind.RECOGNITION,
}  # fmt: skip


def dataset(name: str, at: datetime, version_at: datetime | None = None) -> list[Base]:
    return [
        DatasetRow(id=f"ds_{name}", tenant_id=DEFAULT_TENANT, name=name, created_at=at),
        DatasetVersionRow(
            id=f"dsv_{name}", tenant_id=DEFAULT_TENANT, dataset_id=f"ds_{name}", number=1,
            created_at=version_at or at, warnings=[],
        ),
    ]  # fmt: skip


def adaptation(name: str, of: str, at: datetime, adapter: bool = False) -> list[Base]:
    made: list[Base] = [
        AdaptationRow(
            id=f"adn_{name}", tenant_id=DEFAULT_TENANT, dataset_version_id=f"dsv_{of}", base_model="mini", settings={},
            created_at=at,
        )
    ]  # fmt: skip
    if adapter:
        made.append(
            AdapterRow(
                id=f"adp_{name}", tenant_id=DEFAULT_TENANT, adaptation_id=f"adn_{name}", job_id=f"job_adn_{name}",
                class_name="pits", base_model="mini", archive_sha256="a" * 64, size_bytes=1, settings={}, created_at=at,
            )
        )  # fmt: skip
    return made


def job(resource_id: str, state: JobState, at: datetime) -> JobRow:
    return JobRow(
        id=f"job_{resource_id}", tenant_id=DEFAULT_TENANT, kind=KINDS[resource_id[:3]], resource_id=resource_id,
        class_name="pits", state=state, params={}, created_at=at, finished_at=at if state.is_final else None,
    )  # fmt: skip


def work(table: type[EvaluationRow] | type[RecognitionRow], name: str) -> Base:
    return table(id=name, tenant_id=DEFAULT_TENANT, request={}, created_at=OLD)


def generation(name: str) -> list[Base]:
    return [
        GenerationRow(id=name, tenant_id=DEFAULT_TENANT, seed=0, settings={}, created_at=OLD),
        GeneratedImageRow(
            generation_id=name, class_name="pits", number=0, tenant_id=DEFAULT_TENANT, job_id=f"job_{name}",
            sha256="b" * 64, size_bytes=1, width_px=1, height_px=1, mode="L", seed=0,
        ),
    ]  # fmt: skip


def add(database: Database, *rows: Base) -> None:
    with database.transaction() as session:
        for row in rows:
            session.add(row)
            session.flush()


def names(database: Database, table: type[Base]) -> list[str]:
    with database.reading() as session:
        return sorted(row.id for row in session.query(table))  # type: ignore[attr-defined]


def test_without_a_setting_nothing_is_ever_deleted(database: Database) -> None:
    add(database, *dataset("old", OLD), *generation("gen_old"), job("gen_old", JobState.FAILED, OLD))
    assert expire(database, Retention(), NOW + timedelta(days=10_000)) == 0


def test_only_datasets_that_nobody_uses_any_more_go(database: Database) -> None:
    add(
        database,
        *dataset("unused", OLD), *dataset("new", NEW), *dataset("uploaded", OLD, version_at=NEW),
        *dataset("adapted", OLD), *adaptation("kept", "adapted", OLD, adapter=True),
        *dataset("tried", OLD), *adaptation("lately", "tried", NEW),
        *dataset("waiting", OLD), *adaptation("waits", "waiting", OLD), job("adn_waits", JobState.QUEUED, OLD),
        *dataset("failed", OLD), *adaptation("failed", "failed", OLD), job("adn_failed", JobState.FAILED, OLD),
    )  # fmt: skip
    assert expire(database, Retention(datasets_days=30), NOW) == 2
    assert names(database, DatasetRow) == ["ds_adapted", "ds_new", "ds_tried", "ds_uploaded", "ds_waiting"]
    with database.reading() as session, pytest.raises(Gone, match="2026-06-01T00:00:00Z because the time"):
        datasets.get(session, DEFAULT_TENANT, "ds_unused")


def test_generations_and_evaluations_are_counted_from_the_end_of_their_last_job(database: Database) -> None:
    add(
        database,
        *generation("gen_over"), job("gen_over", JobState.SUCCEEDED, OLD),
        *generation("gen_late"), job("gen_late", JobState.SUCCEEDED, NEW),
        *generation("gen_runs"), job("gen_runs", JobState.RUNNING, OLD),
        work(EvaluationRow, "evl_over"), job("evl_over", JobState.SUCCEEDED, OLD),
        work(RecognitionRow, "rec_late"), job("rec_late", JobState.SUCCEEDED, NEW),
    )  # fmt: skip
    assert expire(database, Retention(generations_days=30, evaluations_days=30), NOW) == 2
    assert names(database, GenerationRow) == ["gen_late", "gen_runs"]
    assert names(database, RecognitionRow) == ["rec_late"]
    with database.reading() as session:
        for get, name in ((generations.get, "gen_over"), (evaluations.get, "evl_over")):
            with pytest.raises(Gone):
                get(session, DEFAULT_TENANT, name)


def test_remains_are_of_work_of_which_nothing_succeeded(database: Database) -> None:
    add(
        database,
        *dataset("d", OLD),
        *adaptation("canceled", "d", OLD), job("adn_canceled", JobState.CANCELED, OLD),
        *adaptation("done", "d", OLD, adapter=True), job("adn_done", JobState.SUCCEEDED, OLD),
        work(EvaluationRow, "evl_failed"), job("evl_failed", JobState.FAILED, OLD),
        work(EvaluationRow, "evl_done"), job("evl_done", JobState.SUCCEEDED, OLD),
    )  # fmt: skip
    assert expire(database, Retention(remains_days=30), NOW) == 2
    assert names(database, AdaptationRow) == ["adn_done"]
    assert names(database, EvaluationRow) == ["evl_done"]
    assert names(database, JobRow) == ["job_adn_done", "job_evl_done"]


def test_of_many_deletions_at_once_one_is_made_and_the_others_find_it_gone(database: Database) -> None:
    for number in range(5):
        add(database, *generation(f"gen_{number}"), job(f"gen_{number}", JobState.SUCCEEDED, OLD))

    def delete(number: int) -> type[Exception] | None:
        try:
            delete_generation(database, DEFAULT_TENANT, f"gen_{number % 5}", Deletion(NOW))
        except Gone as error:
            return type(error)
        return None

    with ThreadPoolExecutor(5) as pool:
        told = list(pool.map(delete, range(20)))
    assert (told.count(None), told.count(Gone)) == (5, 15)


def test_a_tombstone_is_forgotten_in_its_turn(database: Database) -> None:
    add(database, *dataset("old", OLD))
    expire(database, Retention(datasets_days=30), NOW)
    expire(database, Retention(tombstones_days=10), NOW + timedelta(days=11))
    with database.reading() as session, pytest.raises(NotFound) as caught:
        datasets.get(session, DEFAULT_TENANT, "ds_old")
    assert caught.value.status == 404
