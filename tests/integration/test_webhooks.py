"""The maintenance process sends, with real processes and the receiver that the documentation shows."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from service.contracts.ids import DEFAULT_TENANT, JobId, new_id
from service.contracts.jobs import JobKind
from service.contracts.words import Word
from service.main import create_app
from service.settings import Settings
from service.store import jobs
from service.store.database import Database
from service.store.tables import WebhookDeliveryRow
from tests.fakes.receiver import receiving

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", webhook_allow="127.0.0.1")


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


@contextmanager
def maintenance(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    given = {"DEFECTSYNTH_DATA_DIR": str(settings.data_dir), "DEFECTSYNTH_WEBHOOK_ALLOW": settings.webhook_allow}
    process = subprocess.Popen([sys.executable, "-m", "worker.maintenance"], env={**os.environ, **given}, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(timeout=PATIENCE_SECONDS) in (0, -9)


def queued_job(settings: Settings) -> JobId:
    job_id = JobId(new_id("job"))
    database = Database(settings.sqlalchemy_url)
    with database.transaction() as session:
        jobs.insert(
            session, DEFAULT_TENANT, job_id, JobKind.EVALUATION, new_id("evl"), "pits", Word(), datetime.now(UTC)
        )
    database.close()
    return job_id


def test_the_documented_receiver_verifies_and_takes_what_the_service_sends(
    client: TestClient, settings: Settings
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "webhooks.md").read_text(), re.DOTALL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = client.post("/v1/webhooks", json={"url": f"http://127.0.0.1:{port}/", "events": ["job.canceled"]}).json()
    given = {**os.environ, "WEBHOOK_SECRET": made["secret"], "PORT": str(port)}
    job_id = queued_job(settings)
    receiver = subprocess.Popen([sys.executable, "-c", program], env=given, stdout=subprocess.PIPE, text=True)
    try:
        wait_for_port(port)
        with maintenance(settings):
            client.post(f"/v1/jobs/{job_id}/cancel")
            client.post(f"{made['links']['self']}/ping")
            assert receiver.stdout is not None
            lines = sorted(receiver.stdout.readline().split()[1] for _ in range(2))
    finally:
        receiver.terminate()
        receiver.communicate(timeout=20)
    assert lines == ["job.canceled", "webhook.ping"]
    shown = client.get(made["links"]["deliveries"]).json()["items"]
    assert [(one["state"], one["last_status"]) for one in shown] == [("delivered", 204)] * 2


def test_a_sender_that_is_killed_in_the_middle_leaves_the_event_to_the_next_one(
    client: TestClient, settings: Settings
) -> None:
    with receiving() as receiver:
        receiver.hold.clear()
        made = client.post("/v1/webhooks", json={"url": receiver.url()}).json()
        client.post(f"{made['links']['self']}/ping")
        with maintenance(settings) as killed:
            assert receiver.arrived.acquire(timeout=PATIENCE_SECONDS)
            killed.kill()
        receiver.hold.set()
        let_claims_run_out(settings)
        with maintenance(settings):
            assert receiver.arrived.acquire(timeout=PATIENCE_SECONDS)
        (first, _), (second, _) = receiver.requests
    assert first["webhook-id"] == second["webhook-id"]
    [shown] = client.get(made["links"]["deliveries"]).json()["items"]
    assert (shown["state"], shown["attempts"]) == ("delivered", 2)


def let_claims_run_out(settings: Settings) -> None:
    """What a minute does."""
    database = Database(settings.sqlalchemy_url)
    with database.transaction() as session:
        session.execute(update(WebhookDeliveryRow).values(next_attempt_at=datetime.now(UTC)))
    database.close()


def wait_for_port(port: int) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < give_up_at, "the receiver does not listen"
            time.sleep(0.05)
        else:
            return
