"""What a worker may take up beside a generation that it runs, on a real SQLite file and a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.contracts.ids import AdapterId, JobId
from service.contracts.jobs import JobKind, JobState
from service.store import leases
from service.store.company import Beside
from service.store.database import Database
from service.store.tables import AdaptationRow, AdapterRow, DatasetRow, DatasetVersionRow, JobRow

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(minutes=1)
MODELS = {"first": "mini", "same": "mini", "other": "sd15"}


@pytest.fixture(autouse=True)
def _adapters(database: Database) -> None:
    with database.transaction() as session:
        session.add(DatasetRow(id="ds", tenant_id="a", name="n", created_at=NOON))
        session.flush()
        session.add(DatasetVersionRow(id="v", tenant_id="a", dataset_id="ds", number=1, created_at=NOON, warnings=[]))
        session.flush()
        session.add(
            AdaptationRow(
                id="adn", tenant_id="a", dataset_version_id="v", base_model="mini", settings={}, created_at=NOON
            )
        )
        session.flush()
        for name, base_model in MODELS.items():
            session.add(
                AdapterRow(
                    id=name, tenant_id="a", adaptation_id="adn", job_id=name, class_name="pits", base_model=base_model,
                    archive_sha256="a" * 64, size_bytes=1, settings={}, created_at=NOON,
                )
            )  # fmt: skip


def queue(database: Database, name: str, **columns: Any) -> None:
    values = {
        "id": name, "tenant_id": "a", "kind": JobKind.GENERATION, "resource_id": "gen", "class_name": "pits",
        "state": JobState.QUEUED, "params": {}, "created_at": LONG_AGO, "adapter_id": "same", **columns,
    }  # fmt: skip
    with database.transaction() as session:
        session.add(JobRow(**values))


def claim(database: Database) -> JobId | None:
    beside = Beside(AdapterId("first"), submitted_before=NOON - timedelta(seconds=1))
    with database.transaction() as session:
        job = leases.claim(
            session, worker_id="w", kinds=list(JobKind), resident_adapter_id=None, now=NOON, lease_seconds=30,
            beside=beside,
        )  # fmt: skip
    return job.id if job is not None else None


@pytest.mark.parametrize("adapter", ["first", "same"])
def test_a_generation_with_the_same_base_model_is_taken(database: Database, adapter: str) -> None:
    queue(database, "job", adapter_id=adapter)
    assert claim(database) == "job"
    assert claim(database) is None


@pytest.mark.parametrize(
    "columns",
    [{"adapter_id": "other"}, {"adapter_id": "gone"}, {"attempts": 1}, {"created_at": NOON}],
    ids=["another base model", "an adapter that is gone", "lost before", "perhaps another worker's in a moment"],
)
def test_what_does_not_suit_is_left_in_the_queue(database: Database, columns: dict[str, Any]) -> None:
    queue(database, "job", **columns)
    assert claim(database) is None


def test_nothing_gets_ahead_of_what_the_queue_would_serve_next(database: Database) -> None:
    queue(database, "next", kind=JobKind.ADAPTATION, adapter_id=None, created_at=LONG_AGO - timedelta(seconds=1))
    queue(database, "suits")
    assert claim(database) is None


def test_tenants_take_turns(database: Database) -> None:
    for number in range(3):
        queue(database, f"a{number}", created_at=LONG_AGO + timedelta(seconds=number))
    queue(database, "b", tenant_id="b", created_at=LONG_AGO + timedelta(seconds=10))
    assert [claim(database) for _ in range(4)] == ["a0", "b", "a1", "a2"]
