"""What the API costs: start, memory, and polling while a worker is idle or busy."""

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

import psutil
import pytest

from service.contracts.ids import AdapterId
from service.contracts.jobs import JobState
from service.registry import load_base_models
from tests.benchmarks.conftest import Figures
from tests.fakes.worker_world import ROOT, World, quick

pytestmark = pytest.mark.benchmark

LOAD = Path(__file__).with_name("load.py")
PER_SECOND, LOAD_SECONDS = 200, 10
NUM_FIRST = 6
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


def test_the_first_image_of_an_adapter_comes_soon(figures: Figures, world: World) -> None:
    """From the request's commit to the job's success: queue, image, gates and quality are in it."""
    settings = load_base_models(world.settings)["mini"].generation
    with world.running("worker"):
        done = world.wait(world.submit_adaptation(), lambda row: JobState(row.state).is_final, timeout_seconds=180)
        assert done.result is not None, done.failure
        adapter_id = AdapterId(done.result["adapter_id"])
        seconds = []
        for _ in range(NUM_FIRST):
            began = time.perf_counter()
            _, job_id = world.submit_generation(adapter_id, settings, num_images=1)
            row = world.wait(job_id, lambda row: JobState(row.state).is_final)
            seconds.append(time.perf_counter() - began)
            assert row.state == JobState.SUCCEEDED, row.failure
    figures.add("first image of an adapter that is not yet resident", seconds[0], "s")
    figures.add("first image of a resident adapter, median", statistics.median(seconds[1:]), "s", below=3)


def report(figures: Figures, worker: str, found: dict[str, float], below: float | None) -> None:
    what = f"GET /v1/jobs/{{id}}, {found['per_second']:.0f} a second, worker {worker}"
    figures.add(f"{what}: p50", found["p50_ms"], "ms")
    figures.add(f"{what}: p99", found["p99_ms"], "ms", below=below)
