"""What the service costs: start, memory, polling while a worker is idle or busy, and the first image."""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from models.prior.samples import SAMPLE_CLASSES, write_samples
from service.contracts.jobs import JobState
from service.demo.launch import running_service
from service.settings import Settings
from tests.benchmarks.conftest import Figures
from tests.fakes.pictures import zipped
from tests.fakes.worker_world import ROOT, World, quick
from tests.servers import free_port

pytestmark = pytest.mark.benchmark

LOAD = Path(__file__).with_name("load.py")
PER_SECOND, LOAD_SECONDS = 200, 10
NUM_FIRST = 6
POLL_SECONDS, JOB_SECONDS = 0.02, 900
IMPORT_PROGRAM = """
import sys, time
began = time.perf_counter()
import service.main
print(time.perf_counter() - began)
assert "torch" not in sys.modules
"""


@pytest.fixture
def world(mini: Path, tmp_path: Path) -> Iterator[World]:
    registry = tmp_path / "base_models.toml"
    registry.write_text(f'[models.mini]\npath = "{mini}"\n')
    world = World(tmp_path / "data", registry, extra={"OMP_NUM_THREADS": "2"})
    yield world
    world.close()


@contextmanager
def api(world: World) -> Iterator[tuple[int, psutil.Process]]:
    """The API as a process of its own, and its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DEFECTSYNTH_DATA_DIR": str(world.data_dir),
        "DEFECTSYNTH_BASE_MODELS": str(world.registry),
        "DEFECTSYNTH_PORT": str(port),
    }
    with (world.data_dir / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "api"], env=environment, stdout=log, stderr=log
        )
    try:
        wait_until_live(port)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_until_live(port: int) -> None:
    give_up_at = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < give_up_at, "the API did not start"
            time.sleep(0.1)


def loaded(port: int, job_id: str) -> dict[str, Any]:
    command = [sys.executable, str(LOAD), str(port), f"/v1/jobs/{job_id}", str(PER_SECOND), str(LOAD_SECONDS)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found: dict[str, Any] = json.loads(told.stdout)
    assert not found["errors"]
    return found


def rss_mb(process: psutil.Process) -> float:
    """Resident memory of the process and everything below it, in MB."""
    family = [process, *process.children(recursive=True)]
    return sum(float(one.memory_info().rss) for one in family) / 1e6


def test_the_api_is_imported(figures: Figures) -> None:
    def once() -> float:
        told = subprocess.run(
            [sys.executable, "-c", IMPORT_PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True
        )
        return float(told.stdout)

    figures.add("import of the API, best of 3", min(once() for _ in range(3)), "s", below=1.5)


def test_jobs_are_polled_while_the_worker_is_idle_and_while_it_is_busy(figures: Figures, world: World) -> None:
    with api(world) as (port, process), world.running("worker") as worker:
        done = world.wait(world.submit_adaptation(), lambda row: JobState(row.state).is_final, timeout_seconds=180)
        assert done.state == JobState.SUCCEEDED, done.failure
        report(figures, "idle", loaded(port, done.id), below=20)
        job_id = world.submit_adaptation(quick(steps=20_000))
        world.wait(job_id, lambda row: (row.progress or {}).get("stage") == "textual_inversion", timeout_seconds=120)
        report(figures, "busy", loaded(port, job_id), below=None)
        figures.add("API, resident memory under load", rss_mb(process), "MB", below=150)
        figures.add("worker, resident memory while adapting", rss_mb(psutil.Process(worker.pid)), "MB", below=3000)
        world.cancel(job_id)
        world.wait(job_id, lambda row: JobState(row.state).is_final)


@pytest.mark.parametrize("num_real", [20, 100])
def test_the_first_image_of_an_adapter_comes_soon(figures: Figures, tmp_path: Path, num_real: int) -> None:
    """From the request for one image to the poll that tells its job's success: queue, gates and quality are in it."""
    write_samples(tmp_path / "samples", images_per_class=num_real)
    with served(tmp_path) as client:
        adaptation = adapted(client, tmp_path / "samples", next(iter(SAMPLE_CLASSES)))
        seconds, made = [], []
        for _ in range(NUM_FIRST):
            began = time.perf_counter()
            asked = client.post("/v1/generations", json={"adaptation_id": adaptation, "num_images": 1})
            job = succeeded(client, asked.raise_for_status().json()["jobs"][0]["id"])
            seconds.append(time.perf_counter() - began)
            made.append(job["result"]["judging"]["num_candidates"])
    what = f"first image over HTTP, {num_real} real ones"
    figures.add(f"{what}: adapter not yet resident", seconds[0], "s")
    figures.add(f"{what}: resident, the second request", seconds[1], "s", below=3)
    figures.add(f"{what}: resident, median", statistics.median(seconds[1:]), "s", below=3)
    figures.add("- images made for it, the gates' rejects among them, median", statistics.median(made[1:]), "images")


@contextmanager
def served(folder: Path) -> Iterator[httpx.Client]:
    """The whole service as `defectsynth serve` starts it, with the bundled base model as it is registered."""
    settings = Settings(data_dir=folder / "data", port=free_port(), device="cpu")
    with (
        running_service(settings, folder / "log") as service,
        httpx.Client(base_url=service.url(), timeout=60, trust_env=False) as client,
    ):
        yield client


def adapted(client: httpx.Client, samples: Path, class_name: str) -> str:
    """The id of an adaptation that is done, with the registered steps and without a search."""
    paths = [path for split in ("train", "validation") for path in sorted((samples / split / class_name).iterdir())]
    archive = zipped({str(path.relative_to(samples)): path.read_bytes() for path in paths})
    dataset = client.post("/v1/datasets", files={"archive": ("set.zip", archive)}).raise_for_status().json()
    body = {"dataset_id": dataset["id"], "settings": {"search": {"max_trials": 0}}}
    adaptation = client.post("/v1/adaptations", json=body).raise_for_status().json()
    succeeded(client, adaptation["jobs"][0]["id"])
    return str(adaptation["id"])


def succeeded(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job, polled until it has."""
    give_up_at = time.monotonic() + JOB_SECONDS
    while (job := client.get(f"/v1/jobs/{job_id}").raise_for_status().json())["state"] != JobState.SUCCEEDED:
        assert not JobState(job["state"]).is_final, job
        assert time.monotonic() < give_up_at, job
        time.sleep(POLL_SECONDS)
    return job


def report(figures: Figures, worker: str, found: dict[str, float], below: float | None) -> None:
    what = f"GET /v1/jobs/{{id}}, {found['per_second']:.0f} a second, worker {worker}"
    figures.add(f"{what}: p50", found["p50_ms"], "ms")
    figures.add(f"{what}: p99", found["p99_ms"], "ms", below=below)
