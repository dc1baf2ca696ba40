"""What followers of a running job cost the API: `python -m tests.benchmarks.event_streams [NUMBER]`.

The API runs as a process of its own; a job's progress is written as often as a worker does, and all follow it.
"""

import asyncio
import os
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime

import httpx
import psutil

from service.contracts.ids import JobId
from service.contracts.jobs import JobKind, JobState, Progress
from service.settings import Settings
from service.store import leases
from service.store.database import Database
from service.store.tables import JobRow

_SECONDS = 20.0
_PROGRESS_SECONDS = 0.3


def _running_job(database: Database) -> JobId:
    with database.transaction() as session:
        session.add(
            JobRow(
                id="job_1", tenant_id="default", kind=JobKind.GENERATION, resource_id="gen_1", class_name="pits",
                state=JobState.RUNNING, params={}, created_at=datetime.now(UTC), fencing_token=1,
            )
        )  # fmt: skip
    return JobId("job_1")


def _write_progress(database: Database, job_id: JobId, step: int) -> None:
    told = Progress(stage="lora", step=step, total=1000, fraction=step / 1000, figures={"loss": 0.1})
    with database.transaction() as session:
        leases.record_progress(session, job_id, 1, told)


async def _follow(client: httpx.AsyncClient, url: str, delays: list[float], written: dict[int, float]) -> None:
    async with client.stream("GET", url) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and '"step":' in line:
                step = int(line.split('"step":')[1].split(",")[0])
                delays.append(time.monotonic() - written[step])


async def _measure(url: str, api: psutil.Process, database: Database, number: int) -> str:
    job_id, delays, written = _running_job(database), list[float](), dict[int, float]()
    before = (api.num_threads(), api.memory_info().rss)
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
        path = f"{url}/v1/jobs/{job_id}/events"
        following = [asyncio.create_task(_follow(client, path, delays, written)) for _ in range(number)]
        await asyncio.sleep(5)
        delays.clear()
        cpu, began, step = sum(api.cpu_times()[:2]), time.monotonic(), 0
        while time.monotonic() - began < _SECONDS:
            step += 1
            written[step] = time.monotonic()
            await asyncio.to_thread(_write_progress, database, job_id, step)
            await asyncio.sleep(_PROGRESS_SECONDS)
        cpu, seconds = sum(api.cpu_times()[:2]) - cpu, time.monotonic() - began
        threads, rss = api.num_threads(), api.memory_info().rss
        for one in following:
            one.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    ranked = sorted(1000 * one for one in delays)
    p50, p99 = ranked[len(ranked) // 2], ranked[int(0.99 * len(ranked))]
    return (
        f"{number} followers: {len(delays) / seconds:.0f} events a second, {100 * cpu / seconds:.0f} % of a core, "
        f"{threads} threads (before: {before[0]}), {(rss - before[1]) / 2**20:.0f} MiB more, "
        f"seen after {p50:.0f} ms (p50), {p99:.0f} ms (p99)"
    )


def main(number: int) -> None:
    """Print the line."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        variables = {"DEFECTSYNTH_DATA_DIR": folder, "DEFECTSYNTH_PORT": str(port)}
        variables["DEFECTSYNTH_MAX_EVENT_STREAMS_PER_KEY"] = str(number)
        api = psutil.Popen([sys.executable, "-m", "service.cli", "api"], env={**os.environ, **variables})
        try:
            url = f"http://127.0.0.1:{port}"
            while not _is_up(url):
                time.sleep(0.1)
            database = Database(Settings(data_dir=folder).sqlalchemy_url)
            print(asyncio.run(_measure(url, psutil.Process(api.pid), database, number)))
            database.close()
        finally:
            api.terminate()
            api.wait(timeout=20)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
