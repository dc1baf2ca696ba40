"""Limits of keys and tenants, counted for each alone: 429 with the time to wait, 422 or 413 for what never fits."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from service.contracts.ids import DEFAULT_TENANT, AdapterId, TenantId
from service.contracts.jobs import JobFailure, JobKind, JobState
from service.contracts.keys import Scope
from service.contracts.requests import GenerationRequest
from service.errors import QuotaExceeded
from service.keys import mint, server_secret
from service.settings import Settings
from service.store import leases
from service.store.tables import GenerationRow, JobRow, UsageRow
from service.store.usage import SLOT, WINDOW
from tests.contract.conftest import World, opened
from tests.fakes.pictures import png

DAY_SECONDS, SLOT_SECONDS = WINDOW.total_seconds(), SLOT.total_seconds()


@contextmanager
def limited(tmp_path: Path, database_url: str | None = None, **limits: Any) -> Iterator[World]:
    with opened(Settings(data_dir=tmp_path, database_url=database_url, **limits)) as world, world.client:
        yield world


def adapter(world: World, class_name: str) -> str:
    """A finished adapter of a class."""
    return world.finish(world.adaptation({class_name: 4}))[0]


def generation(world: World, num_images: int) -> httpx.Response:
    """The answer to a request for so many images of a new adapter."""
    asked = {"adapter_ids": [adapter(world, "pits")], "num_images": num_images}
    return world.client.post("/v1/generations", json=asked)


def run_for(world: World, job_id: str, seconds: float) -> None:
    """Do what a worker does that fails after so long; its lease is the only one to be had."""
    now = datetime.now(UTC)
    with world.database.transaction() as session:
        for other in session.query(JobRow).where(JobRow.id != job_id, JobRow.state == JobState.QUEUED):
            other.state = JobState.CANCELED
        session.flush()
        job = leases.claim(
            session, worker_id="w", kinds=list(JobKind), resident_adapter_id=None, now=now, lease_seconds=90
        )
        assert job is not None and job.id == job_id
        failure = JobFailure(code="c", message="m", remedy="r")
        leases.fail(session, job.id, job.fencing_token, failure=failure, now=now + timedelta(seconds=seconds))


def refused_for_good(answer: httpx.Response, status: int, code: str, field: str | None, limit: str) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("field")) == (status, code, field)
    assert f"({limit})" in problem["detail"]
    assert "Retry-After" not in answer.headers


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


def test_uploaded_bytes_are_counted_over_the_day_and_over_restarts(tmp_path: Path) -> None:
    limits = {"max_upload_bytes_per_day": 3 * len(png(0))}
    with limited(tmp_path, **limits) as world:
        world.dataset({"pits": 2})
    with limited(tmp_path, **limits) as world:
        files = [("images", (f"pits/{n}.png", png(n))) for n in range(2)]
        dataset_id = world.client.get("/v1/datasets").json()["items"][0]["id"]
        for refused in (
            world.client.post("/v1/datasets", files=files),
            world.client.put(f"/v1/datasets/{dataset_id}/classes/pits/images", files=files),
        ):
            assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
            assert DAY_SECONDS < int(refused.headers["Retry-After"]) <= DAY_SECONDS + SLOT_SECONDS


def test_an_upload_that_is_answered_again_counts_once(tmp_path: Path) -> None:
    with limited(tmp_path, max_upload_bytes_per_day=3 * len(png(0))) as world:
        files = [("images", (f"pits/{n}.png", png(n))) for n in range(2)]
        headers = {"Idempotency-Key": "once"}
        answers = [world.client.post("/v1/datasets", files=files, headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 201]


def test_images_asked_for_are_counted_exactly_and_told_until_when(tmp_path: Path, database_url: str) -> None:
    with limited(tmp_path, database_url, max_images_per_day=10) as world:
        statuses = [generation(world, number) for number in (6, 5, 4, 1)]
        assert [answer.status_code for answer in statuses] == [202, 429, 202, 429]
        assert DAY_SECONDS < int(statuses[-1].headers["Retry-After"]) <= DAY_SECONDS + SLOT_SECONDS
        with world.database.transaction() as session:
            for row in session.query(UsageRow):
                row.slot_at -= WINDOW + SLOT
        assert generation(world, 10).status_code == 202


def test_deleting_work_gives_no_share_of_the_day_back(tmp_path: Path, database_url: str) -> None:
    limits = {"max_images_per_day": 10, "max_device_seconds_per_day": 60}
    with limited(tmp_path, database_url, **limits) as world:
        made = generation(world, 6).json()
        world.client.post(made["jobs"][0]["links"]["cancel"])
        assert world.client.delete(made["links"]["self"]).status_code == 204
        refused = generation(world, 5)
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert "10 images may be asked for in 24 hours, and 6 were" in refused.json()["detail"]

        adaptation = world.adaptation({"rust": 4})
        run_for(world, adaptation["jobs"][0]["id"], 61.0)
        assert world.client.delete(adaptation["links"]["self"]).status_code == 204
        refused = world.client.post("/v1/adaptations", json={"dataset_id": adaptation["dataset_id"]})
        assert refused.status_code == 429
        assert "max_device_seconds_per_day" in refused.json()["detail"]
        assert DAY_SECONDS < int(refused.headers["Retry-After"]) <= DAY_SECONDS + SLOT_SECONDS + 61


def test_a_tenant_s_share_of_the_queue_ends(tmp_path: Path, database_url: str) -> None:
    with limited(tmp_path, database_url, max_queued_jobs_per_tenant=1) as world:
        first = world.adaptation({"pits": 4})
        refused = world.client.post("/v1/adaptations", json={"dataset_id": first["dataset_id"]})
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert "max_queued_jobs_per_tenant" in refused.json()["detail"]


@pytest.mark.parametrize("limit", ["max_queued_jobs_per_tenant", "max_queued_jobs"])
def test_more_classes_than_may_ever_wait_are_refused_for_good(tmp_path: Path, limit: str) -> None:
    with limited(tmp_path, **{limit: 1}) as world:
        dataset = world.dataset({"pits": 4, "rust": 4})
        told = world.client.post("/v1/adaptations", json={"dataset_id": dataset["id"]})
        refused_for_good(told, 422, "beyond_limit", "classes", limit)
        asked = {"dataset_id": dataset["id"], "classes": ["pits"]}
        assert world.client.post("/v1/adaptations", json=asked).status_code == 202


def test_more_images_than_a_day_ever_has_are_refused_for_good(tmp_path: Path) -> None:
    with limited(tmp_path, max_images_per_day=10, max_queued_jobs_per_tenant=1) as world:
        refused_for_good(generation(world, 11), 422, "beyond_limit", "num_images", "max_images_per_day")
        for name in ("pits", "rust"):
            adapter(world, name)
        both = [one["id"] for one in world.client.get("/v1/adapters").json()["items"]][:2]
        told = world.client.post("/v1/generations", json={"adapter_ids": both, "num_images": 1})
        refused_for_good(told, 422, "beyond_limit", "num_images", "max_queued_jobs_per_tenant")


def test_a_file_beyond_the_day_s_bytes_is_refused_for_good(tmp_path: Path) -> None:
    with limited(tmp_path, max_upload_bytes_per_day=len(png(0)) - 1) as world:
        told = world.client.post("/v1/datasets", files={"images": ("pits/0.png", png(0))})
        refused_for_good(told, 413, "request_too_large", None, "max_upload_bytes_per_day")


@pytest.mark.parametrize("limits", [{"max_queued_jobs_per_tenant": 1}, {"max_images_per_day": 10}])
def test_of_two_submissions_at_once_the_second_is_counted_beside_the_first(
    tmp_path: Path, postgres_database_url: str, limits: dict[str, Any]
) -> None:
    """The first has written everything and not yet committed when the second looks at what is left."""
    with limited(tmp_path, postgres_database_url, **limits) as world, ThreadPoolExecutor(1) as pool:
        request = GenerationRequest(adapter_ids=[AdapterId(adapter(world, "pits"))], num_images=6)
        submission, second = world.app.state.parts.submission, []

        def while_another_asks(session: Session, row: GenerationRow) -> None:
            second.append(pool.submit(submission.generate, DEFAULT_TENANT, request))
            wait(second, timeout=0.5)

        submission.generate(DEFAULT_TENANT, request, while_another_asks)
        with pytest.raises(QuotaExceeded):
            second[0].result(timeout=20)


def test_a_counter_that_is_away_lets_everybody_in(tmp_path: Path) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    with limited(tmp_path, max_requests_per_minute=1, broker_url=nowhere) as world:
        assert [world.client.get("/v1/jobs").status_code for _ in range(3)] == [200, 200, 200]
