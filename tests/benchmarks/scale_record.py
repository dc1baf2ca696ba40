"""A record as it is after years of work: any number of jobs, with what they belong to, written in bulk."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Insert, event, func, insert, literal, select, text

from service.contracts.ids import DEFAULT_TENANT, TenantId
from service.contracts.jobs import JobKind, JobState
from service.store.base import Base, UtcDateTime
from service.store.database import Database
from service.store.tables import (
    AdaptationRow,
    AdapterRow,
    DatasetRow,
    DatasetVersionRow,
    EvaluationRow,
    GenerationRow,
    JobRow,
    RecognitionRow,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: The first has most of the work, and is the one that asks.
_TENANTS = {DEFAULT_TENANT: 60, TenantId("plant-2"): 25, TenantId("plant-3"): 10, TenantId("plant-4"): 5}
_KINDS = {JobKind.GENERATION: 70, JobKind.ADAPTATION: 17, JobKind.EVALUATION: 12, JobKind.RECOGNITION: 1}
_ENDED = {JobState.SUCCEEDED: 94, JobState.FAILED: 4, JobState.CANCELED: 2}
_CLASSES = ("pits", "scratches", "inclusions")
_NUM_RUNNING = 8
_APART = timedelta(seconds=40)
_MOST_DRAWN = 10_000
_IN_A_HURRY = "PRAGMA cache_size = -400000"
#: Columns that say which row it is, or which other row it belongs to.
_NAMES = frozenset({"id", "dataset_id", "dataset_version_id", "adaptation_id", "job_id", "resource_id"})

Row = dict[str, Any]
_TABLES: dict[JobKind, type[Base]] = {
    JobKind.ADAPTATION: AdaptationRow,
    JobKind.GENERATION: GenerationRow,
    JobKind.EVALUATION: EvaluationRow,
    JobKind.RECOGNITION: RecognitionRow,
}
_PREFIXES = {JobKind.ADAPTATION: "adn", JobKind.GENERATION: "gen", JobKind.EVALUATION: "evl",
             JobKind.RECOGNITION: "rec"}  # fmt: skip
_PARAMS = {"num_images": 24, "base_model": "mini", "settings": {"text": "x" * 100}}
_RESULT = {"verdict": "gain_shown", "quality": {"score": {"kid": 0.1}}, "text": "y" * 200}


def fill(database: Database, num_jobs: int, num_queued: int) -> None:
    """About ``num_jobs`` jobs, by threes of one resource, of which ``num_queued`` (under 10,000) wait and some run.

    Beyond some thousands the database copies those that are over.
    """
    draws, drawn = random.Random(0), min(num_jobs, _MOST_DRAWN)
    rows: dict[type[Base], list[Row]] = {}
    for number in range(0, drawn, len(_CLASSES)):
        _resource(rows, draws, range(number, min(number + len(_CLASSES), drawn)), num_queued)
    with database.transaction() as session:
        for table, some in rows.items():
            session.execute(insert(table), some)
    if database.is_sqlite:  # Nothing here need outlive a power cut.
        event.listen(database.engine, "begin", lambda connection: connection.exec_driver_sql(_IN_A_HURRY))
    for number in range(1, num_jobs // drawn):
        with database.transaction() as session:
            for table in rows:
                copied = _copied(table, number, _APART * drawn * number, num_queued, is_sqlite=database.is_sqlite)
                session.execute(copied)
    if not database.is_sqlite:  # What a server does by itself, some minutes later.
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def _copied(table: type[Base], number: int, earlier: timedelta, num_queued: int, *, is_sqlite: bool) -> Insert:
    """What is over, once more under other ids, and as much earlier."""

    def value(column: Column[Any]) -> ColumnElement[Any]:
        if column.name in _NAMES:
            return literal(f"{number:03}-") + column
        if not isinstance(column.type, UtcDateTime):
            return column
        seconds = f"-{earlier.total_seconds():.0f} seconds"
        return func.strftime("%Y-%m-%d %H:%M:%f000", column, seconds) if is_sqlite else column - literal(earlier)

    columns = {column.name: column for column in table.__table__.columns}
    over = columns["created_at"] < NOW - _APART * (num_queued + _NUM_RUNNING - 1)
    drawn_once = ~columns["id"].contains("-")
    return insert(table).from_select(list(columns), select(*map(value, columns.values())).where(over, drawn_once))


def _id(draws: random.Random, prefix: str) -> str:
    return f"{prefix}_{draws.getrandbits(128):032x}"


def _resource(rows: dict[type[Base], list[Row]], draws: random.Random, numbers: Sequence[int], num_queued: int) -> None:
    """Add a resource, with a job a class, and what stands in other tables for them."""
    kind = draws.choices(list(_KINDS), list(_KINDS.values()))[0]
    own: Row = {
        "id": _id(draws, _PREFIXES[kind]), "tenant_id": draws.choices(list(_TENANTS), list(_TENANTS.values()))[0],
        "created_at": NOW - _APART * numbers[0],
    }  # fmt: skip
    dataset_id, version_id = _id(draws, "ds"), _id(draws, "dsv")

    def add(table: type[Base], row: Row) -> None:
        rows.setdefault(table, []).append(row)

    if kind is JobKind.ADAPTATION:
        add(DatasetRow, own | {"id": dataset_id, "name": "surfaces"})
        add(DatasetVersionRow, own | {"id": version_id, "dataset_id": dataset_id, "number": 1, "warnings": []})
    add(_TABLES[kind], own | _asked(kind, dataset_id, version_id))
    for number, class_name in zip(numbers, _CLASSES, strict=False):
        job = _job(draws, own, kind, _state(draws, number, num_queued), class_name)
        add(JobRow, job)
        if kind is JobKind.ADAPTATION and job["state"] == JobState.SUCCEEDED:
            add(AdapterRow, _adapter(draws, job))


def _asked(kind: JobKind, dataset_id: str, version_id: str) -> Row:
    """What a resource has beside id, tenant and time."""
    if kind is JobKind.ADAPTATION:
        return {"dataset_version_id": version_id, "base_model": "mini", "settings": _PARAMS["settings"]}
    if kind is JobKind.GENERATION:
        return {"seed": 1, "settings": _PARAMS["settings"]}
    if kind is JobKind.RECOGNITION:
        return {"request": {"dataset_id": dataset_id, "generation_id": "gen_1"}}
    one = {"source": "dataset", "dataset_id": dataset_id, "dataset_version_id": version_id, "class_name": "pits"}
    return {"request": {"real": {**one, "split": "train"}, "other": {**one, "split": "validation"}}}


def _state(draws: random.Random, number: int, num_queued: int) -> JobState:
    """The newest wait, those before them run."""
    if number < num_queued:
        return JobState.QUEUED
    if number < num_queued + _NUM_RUNNING:
        return JobState.RUNNING
    return draws.choices(list(_ENDED), list(_ENDED.values()))[0]


def _job(draws: random.Random, resource: Row, kind: JobKind, state: JobState, class_name: str) -> Row:
    at = resource["created_at"]
    final, begun = state.is_final, state is not JobState.QUEUED
    return {
        "id": _id(draws, "job"), "tenant_id": resource["tenant_id"], "kind": kind, "resource_id": resource["id"],
        "class_name": class_name, "state": state, "priority": draws.choice((0, 0, 0, 1)), "params": _PARAMS,
        "adapter_id": f"adp_{draws.getrandbits(4)}" if kind is JobKind.GENERATION else None,
        "result": _RESULT if state is JobState.SUCCEEDED else None, "revision": 9, "attempts": int(begun),
        "fencing_token": int(begun), "device_seconds": 30.0 if final else 0.0, "created_at": at,
        "lease_expires_at": NOW + timedelta(minutes=1) if state is JobState.RUNNING else None,
        "wakeup_at": at, "started_at": at + _APART if begun else None,
        "finished_at": at + 2 * _APART if final else None,
    }  # fmt: skip


def _adapter(draws: random.Random, job: Row) -> Row:
    return {
        "id": _id(draws, "adp"), "tenant_id": job["tenant_id"], "adaptation_id": job["resource_id"],
        "job_id": job["id"], "class_name": job["class_name"], "base_model": "mini",
        "archive_sha256": f"{draws.getrandbits(256):064x}", "size_bytes": 1, "settings": _PARAMS["settings"],
        "created_at": job["created_at"],
    }  # fmt: skip
