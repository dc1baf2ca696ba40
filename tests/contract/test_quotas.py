"""Limits of keys and tenants: 429 with the time to wait, counted for each alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.contracts.ids import TenantId
from service.contracts.keys import Scope
from service.keys import mint, server_secret
from service.settings import Settings
from service.store.tables import JobRow
from tests.contract.conftest import World, opened
from tests.fakes.pictures import png


@contextmanager
def limited(tmp_path: Path, database_url: str | None = None, **limits: Any) -> Iterator[World]:
    with opened(Settings(data_dir=tmp_path, database_url=database_url, **limits)) as world, world.client:
        yield world


def test_a_key_that_sends_too_many_requests_waits_and_others_do_not(tmp_path: Path) -> None:
    settings = {"max_requests_per_minute": 5, "require_keys": True}
    with limited(tmp_path, **settings) as world:
        secret = server_secret(Settings(data_dir=tmp_path))
        one, other = (
            mint(world.database, secret, tenant_id=TenantId("a"), name=name, scopes=[Scope.READ],
                 now=datetime.now(UTC), expires_at=None)[0]
            for name in ("one", "other")
        )  # fmt: skip
        answers = [world.client.get("/v1/jobs", headers={"X-API-Key": one}) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[-1].json()["code"] == "quota_exceeded"
        assert "max_requests_per_minute" in answers[-1].json()["detail"]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert world.client.get("/v1/jobs", headers={"X-API-Key": other}).status_code == 200


def test_uploaded_bytes_are_counted_over_the_day(tmp_path: Path) -> None:
    with limited(tmp_path, max_upload_bytes_per_day=3 * len(png(0))) as world:
        world.dataset({"pits": 2})
        refused = world.client.post("/v1/datasets", files=[("images", (f"pits/{n}.png", png(n))) for n in range(2)])
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert 0 < int(refused.headers["Retry-After"]) <= 86_400


def test_images_asked_for_are_counted_exactly_and_told_until_when(tmp_path: Path, database_url: str) -> None:
    with limited(tmp_path, database_url, max_images_per_day=10) as world:
        adaptation = world.adaptation({"pits": 4})
        world.finish(adaptation)
        asked = {"adaptation_id": adaptation["id"]}
        statuses = [world.client.post("/v1/generations", json={**asked, "num_images": n}) for n in (6, 5, 4, 1)]
        assert [answer.status_code for answer in statuses] == [202, 429, 202, 429]
        assert 86_000 < int(statuses[-1].headers["Retry-After"]) <= 86_400
        with world.database.transaction() as session:
            for row in session.query(JobRow):
                row.created_at -= timedelta(days=1)
        assert world.client.post("/v1/generations", json={**asked, "num_images": 10}).status_code == 202


@pytest.mark.parametrize(
    ("limits", "spent"), [({"max_queued_jobs_per_tenant": 1}, 0.0), ({"max_device_seconds_per_day": 60}, 61.0)]
)
def test_a_tenant_s_share_of_the_queue_and_of_the_device_ends(
    tmp_path: Path, database_url: str, limits: dict[str, Any], spent: float
) -> None:
    with limited(tmp_path, database_url, **limits) as world:
        first = world.adaptation({"pits": 4})
        with world.database.transaction() as session:
            session.get_one(JobRow, first["jobs"][0]["id"]).device_seconds = spent
        refused = world.client.post("/v1/adaptations", json={"dataset_id": first["dataset_id"]})
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert next(iter(limits)) in refused.json()["detail"]


def test_a_counter_that_is_away_lets_everybody_in(tmp_path: Path) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    with limited(tmp_path, max_requests_per_minute=1, broker_url=nowhere) as world:
        assert [world.client.get("/v1/jobs").status_code for _ in range(3)] == [200, 200, 200]
