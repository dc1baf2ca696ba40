"""One id from the HTTP request to the worker's last event, and a worker's counts, through real processes."""

import json
import os
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.contracts.ids import JobId
from service.contracts.jobs import JobState
from service.main import create_app
from tests.fakes.worker_world import World, quick
from tests.integration.test_nothing_is_lost import child_of, is_final

REQUEST_ID = "qa-tool.2026-11-21.17"


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def events(world: World) -> list[dict[str, Any]]:
    lines = (world.data_dir / "processes.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def counted(port: int, name: str) -> dict[str, float]:
    """The series of a name, by the value of their last label."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [one for family in families for one in family.samples if one.name == name and one.value]
    return {[*one.labels.values(), ""][0]: one.value for one in samples}


def test_a_request_is_followed_to_the_last_event_and_no_count_is_lost_with_a_pool_process(
    compose_world: World, port: int
) -> None:
    # A lease that outlives whatever else the machine does: a job that is forfeited would be counted, too.
    compose_world.extra |= {"DEFECTSYNTH_WORKER_METRICS_PORT": str(port), "DEFECTSYNTH_LEASE_SECONDS": "30"}
    with compose_world.running("worker.maintenance"), compose_world.running("worker") as worker:
        first = submitted(compose_world)
        compose_world.wait(first, is_final, timeout_seconds=120)
        os.kill(child_of(worker.pid), signal.SIGKILL)
        second = compose_world.wait(compose_world.submit_adaptation(), is_final, timeout_seconds=120)
        assert second.state == JobState.SUCCEEDED
        endings = counted(port, "defectsynth_job_attempt_seconds_count")
        assert (endings, counted(port, "defectsynth_worker_processes_begun_total")) == ({"succeeded": 2}, {"": 2})
        assert counted(port, "defectsynth_step_seconds_count").keys() == {"textual_inversion", "lora"}
        assert counted(port, "defectsynth_worker_memory_bytes")[""] > 1e8
    followed = [event for event in events(compose_world) if event.get("request_id") == REQUEST_ID]
    assert [followed[0]["event"], followed[-1]["event"]] == ["job.claimed", "job.succeeded"]
    assert {(event["job_id"], event["tenant_id"]) for event in followed} == {(first, "default")}


def submitted(world: World) -> JobId:
    """An adaptation asked for over HTTP, with an id of the client's; its job."""
    app = create_app(world.settings, database=world.database, artifacts=world.artifacts)
    settings = quick().model_dump(mode="json")
    body = {"dataset_id": world.dataset_id, "classes": "all", "settings": settings}
    client = TestClient(app, base_url="http://127.0.0.1")  # Entered, it would close the world's database.
    answer = client.post("/v1/adaptations", json=body, headers={"X-Request-ID": REQUEST_ID})
    assert answer.status_code == 202, answer.text
    assert answer.headers["X-Request-ID"] == REQUEST_ID
    return JobId(answer.json()["jobs"][0]["id"])


def test_a_level_above_info_leaves_the_log_of_good_work_empty(file_world: World, tmp_path: Path) -> None:
    file_world.extra["DEFECTSYNTH_LOG_LEVEL"] = "warning"
    with file_world.running("worker.maintenance") as process:
        job_id = file_world.submit_adaptation(send=False)
        file_world.wait(job_id, lambda row: row.wakeup_at is not None)
        process.terminate()
        assert process.wait(timeout=20) == 0
    assert events(file_world) == []
