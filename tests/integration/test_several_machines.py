"""Two APIs and two workers, each with its own data folder as on four machines; PostgreSQL, Redis and S3 between."""

import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from service.settings import Settings
from service.store.tables import JobRow
from tests.fakes.pictures import png
from tests.fakes.worker_world import World, quick
from tests.integration.conftest import emptied

NUM_ADAPTATIONS, NUM_IMAGES = 4, 2
UNGATED = {"copies": False, "wrong_class": False, "outliers": False}


@pytest.fixture
def plant(
    redis_server: str, postgres_database_url: str, s3_settings: Settings, tmp_path: Path, registry: Path
) -> Iterator[World]:
    world = World(tmp_path / "plant", registry, emptied(redis_server), postgres_database_url, store=s3_settings)
    yield world
    world.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def machine(tmp_path: Path, name: str, **variables: str) -> dict[str, str]:
    folder = tmp_path / name
    folder.mkdir()
    return {"DEFECTSYNTH_DATA_DIR": str(folder), **variables}


@contextmanager
def client(port: int) -> Iterator[httpx.Client]:
    """Of an API, as soon as it answers."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=30) as made:
        give_up_at = time.monotonic() + 60
        while not answers(made):
            assert time.monotonic() < give_up_at, "the API did not start"
            time.sleep(0.1)
        yield made


def answers(api: httpx.Client) -> bool:
    try:
        return api.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def posted(api: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(path, json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def finished(api: httpx.Client, path: str, world: World) -> dict[str, Any]:
    give_up_at = time.monotonic() + 120
    while True:
        told: dict[str, Any] = api.get(path).json()
        if told["state"] not in ("queued", "running"):
            assert told["state"] == "succeeded", told["jobs"]
            return told
        assert time.monotonic() < give_up_at, (world.data_dir / "processes.log").read_text()[-4000:]
        time.sleep(0.2)


def test_jobs_sent_to_either_api_are_done_once_and_their_images_are_served_by_both(
    plant: World, tmp_path: Path
) -> None:
    ports = [free_port(), free_port()]
    redirecting = {"DEFECTSYNTH_PRESIGNED_DOWNLOAD_SECONDS": "60"}
    with ExitStack() as stack:
        for number, (port, own) in enumerate(zip(ports, ({}, redirecting), strict=True)):
            variables = machine(tmp_path, f"api-{number}", DEFECTSYNTH_PORT=str(port), **own)
            stack.enter_context(plant.running("service.cli", "api", **variables))
        for number in range(2):
            stack.enter_context(plant.running("worker", **machine(tmp_path, f"worker-{number}")))
        apis = [stack.enter_context(client(port)) for port in ports]
        files = [("images", (f"{split}/pits/{n}.png", png(n))) for n, split in enumerate(["train"] * 5 + ["test"] * 4)]
        dataset = apis[0].post("/v1/datasets", files=files).json()
        body = {"dataset_id": dataset["id"], "settings": quick(steps=20).model_dump(mode="json")}
        adaptations = [posted(apis[n % 2], "/v1/adaptations", body) for n in range(NUM_ADAPTATIONS)]
        for n, one in enumerate(adaptations):
            finished(apis[(n + 1) % 2], one["links"]["self"], plant)
        wanted = {"num_images": NUM_IMAGES, "gates": UNGATED, "settings": {"num_inference_steps": 4, "strength": 0.5}}
        generations = [
            posted(apis[n % 2], "/v1/generations", {"adaptation_id": one["id"], **wanted})
            for n, one in enumerate(adaptations)
        ]
        for n, one in enumerate(generations):
            finished(apis[(n + 1) % 2], one["links"]["self"], plant)
            check_images(apis, one)
    check_jobs(plant)
    folders = sorted(path.name for path in tmp_path.glob("*-?/*") if path.name.startswith("artifact"))
    assert set(folders) == {"artifact-cache"}


def check_images(apis: list[httpx.Client], generation: dict[str, Any]) -> None:
    """Both list the same images, each once, and serve the bytes that their digests name."""
    listed = [api.get(generation["links"]["images"]).json()["items"] for api in apis]
    assert listed[0] == listed[1]
    assert [image["number"] for image in listed[0]] == list(range(NUM_IMAGES))
    for image in listed[0]:
        for api, num_redirects in zip(apis, (0, 1), strict=True):
            answer = api.get(image["links"]["content"])
            assert (answer.status_code, len(answer.history)) == (200, num_redirects)
            assert hashlib.sha256(answer.content).hexdigest() == image["sha256"]


def check_jobs(plant: World) -> None:
    with plant.database.reading() as session:
        rows = list(session.scalars(select(JobRow)))
    assert len(rows) == 2 * NUM_ADAPTATIONS
    assert {(row.state, row.attempts, row.fencing_token) for row in rows} == {("succeeded", 1, 1)}
    assert len({row.worker_id for row in rows}) == 2
