"""What a scrape is answered, by an API with either database."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from service.main import create_app
from service.settings import Settings
from service.store.database import Database
from service.store.tables import JobRow, WorkerRow
from tests.contract.conftest import World

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def test_requests_are_counted_by_template_and_what_clients_invent_makes_no_series(world: World) -> None:
    for job_id in ("job_1", "job_2"):
        world.client.get(f"/v1/jobs/{job_id}")
    for number in range(3):
        world.client.request(f"INVENTED{number}", f"/nowhere/{number}")
    samples = scraped(world.client)
    of_jobs = {"method": "GET", "route": "/v1/jobs/{job_id}"}
    assert value(samples, "defectsynth_http_requests_total", **of_jobs, status="404") == 2
    assert value(samples, "defectsynth_http_request_seconds_count", **of_jobs) == 2
    other = {"method": "(other)", "route": "(other)"}
    assert value(samples, "defectsynth_http_requests_total", **other, status="404") == 3
    assert value(samples, "defectsynth_http_requests_in_flight") == 1


def test_a_crash_counts_as_an_error_of_the_server(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Database) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(Database, "reading", broken)
        assert world.client.get("/v1/jobs").status_code == 500
    labels = {"method": "GET", "route": "/v1/jobs", "status": "500"}
    assert value(scraped(world.client), "defectsynth_http_requests_total", **labels) == 1


def test_the_record_is_told_and_nothing_of_its_tenants(world: World) -> None:
    adaptation = world.adaptation({"Secret Alloy": 4, "pits": 4})
    with world.database.transaction() as session:
        session.add(WorkerRow(id="w1", device="cpu", rss_bytes=1, seen_at=datetime.now(UTC), job_id="job_1"))
        session.get_one(JobRow, adaptation["jobs"][0]["id"]).state = "failed"
    samples = scraped(world.client)
    assert value(samples, "defectsynth_database_up") == 1
    assert value(samples, "defectsynth_jobs", state="queued", kind="adaptation") == 1
    assert value(samples, "defectsynth_jobs", state="failed", kind="adaptation") == 1
    assert value(samples, "defectsynth_workers", state="busy") == 1
    assert 0 < (value(samples, "defectsynth_oldest_queued_job_seconds", kind="adaptation") or 0) < 60
    assert value(samples, "defectsynth_oldest_queued_job_seconds", kind="generation") == 0
    assert value(samples, "defectsynth_uploaded_images_total", outcome="accepted") == 8
    text = world.client.get("/metrics").text
    assert not re.search(rf"Secret|pits|{adaptation['id']}|{adaptation['jobs'][0]['id']}|tenant", text)


def test_refused_images_are_counted_by_the_code_of_why(world: World) -> None:
    files = [("images", (f"pits/{number}.png", b"no picture")) for number in range(2)]
    code = world.client.post("/v1/datasets", files=files).json()["refused"][0]["code"]
    assert value(scraped(world.client), "defectsynth_uploaded_images_total", outcome=code) == 2


def test_a_database_that_is_away_is_told_beside_everything_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Database) -> None:
        raise OperationalError("SELECT", {}, Exception("connection lost"))

    with monkeypatch.context() as patched:
        patched.setattr(Database, "reading", away)
        samples = scraped(world.client)
    assert value(samples, "defectsynth_database_up") == 0
    assert value(samples, "defectsynth_workers", state="idle") is None
    assert (value(samples, "defectsynth_data_dir_free_bytes") or 0) > 0


def test_open_metrics_is_given_to_who_asks_for_it(world: World) -> None:
    asked = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    answer = world.client.get("/metrics", headers=asked)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "defectsynth_jobs" in {family.name for family in open_metrics(answer.text)}


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer scrape-me"}, 200)],
)
def test_a_metrics_token_is_asked_for_once_it_is_set(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    settings = Settings(data_dir=tmp_path, metrics_token=SecretStr("scrape-me"))
    with TestClient(create_app(settings, send=lambda kind, job_id: True), base_url="http://127.0.0.1") as client:
        answer = client.get("/metrics", headers=headers)
        assert client.get("/health/live").status_code == 200
    assert answer.status_code == status


def test_a_job_keeps_the_id_of_the_request_that_submitted_it(world: World) -> None:
    dataset = world.dataset({"pits": 4})
    headers = {"X-Request-ID": "line-3.shift-2"}
    answer = world.client.post("/v1/adaptations", json={"dataset_id": dataset["id"]}, headers=headers)
    with world.database.reading() as session:
        assert session.get_one(JobRow, answer.json()["jobs"][0]["id"]).request_id == "line-3.shift-2"
