"""What watching costs: ``python -m tests.benchmarks.metrics_cost``. Needs PostgreSQL; prints a table in two minutes."""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from sqlalchemy import insert
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.measuring import Measured
from service.contracts.jobs import JobKind
from service.logs import configure_logs
from service.main import create_app
from service.metrics import ApiMetrics, read_record
from service.settings import Settings
from service.store.database import Database
from service.store.tables import JobRow
from tests import servers
from worker.metrics import OF_WORKER, Metrics, Pipe, What

NUM_JOBS = 100_000
STATES = ["succeeded"] * 90 + ["failed"] * 6 + ["canceled"] * 3 + ["queued"]


class Route:
    path = "/v1/jobs/{job_id}"


async def answered(scope: Scope, receive: Receive, send: Send) -> None:
    scope["route"] = Route
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def receive() -> Message:
    return {"type": "http.request"}


async def send(message: Message) -> None:
    return None


def cpu_us_a_request(app: ASGIApp, number: int = 20_000) -> float:
    async def all_of_them() -> float:
        began = time.process_time()
        for _ in range(number):
            await app({"type": "http", "method": "GET"}, receive, send)
        return 1e6 * (time.process_time() - began) / number

    return min(asyncio.run(all_of_them()) for _ in range(5))


def cpu_us_a_step(number: int = 2_000) -> float:
    pipe = Pipe()
    pipe.follow(Metrics(OF_WORKER))
    began = time.thread_time()
    for _ in range(number):
        pipe(What.STEP, 0.01, "lora")
        time.sleep(0.0002)  # Or the pipe fills up, and what is lost is cheap.
    return 1e6 * (time.thread_time() - began) / number


def median_ms(ask: Callable[[], object], clock: Callable[[], float], number: int = 30) -> float:
    taken = []
    for _ in range(number):
        began = clock()
        ask()
        taken.append(1000 * (clock() - began))
    return statistics.median(taken)


def fill(database: Database) -> None:
    draws, now = random.Random(0), datetime.now(UTC)
    rows = [
        {
            "id": f"job_{number:06}", "tenant_id": "a", "kind": draws.choice(list(JobKind)), "resource_id": "r",
            "class_name": "pits", "state": draws.choice(STATES), "priority": 0, "params": {"settings": "x" * 600},
            "result": {"report": "y" * 3000}, "revision": 9, "attempts": 1, "fencing_token": 1,
            "created_at": now - timedelta(seconds=number),
        }
        for number in range(NUM_JOBS)
    ]  # fmt: skip
    with database.transaction() as session:
        for first in range(0, NUM_JOBS, 5_000):
            session.execute(insert(JobRow), rows[first : first + 5_000])


def report_record(name: str, url: str) -> None:
    database = Database(url)
    database.migrate()
    fill(database)
    if not database.is_sqlite:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE job")
    ask = read_record(database, lambda: datetime.now(UTC))
    wall, cpu = median_ms(ask, time.perf_counter), median_ms(ask, time.process_time)
    print(f"{name}, {NUM_JOBS} jobs: record read in {wall:.1f} ms, {cpu:.1f} ms of CPU here")
    metrics = ApiMetrics(ask, Path("/"))
    print(f"{name}: scrape soon after another {median_ms(lambda: metrics.text(''), time.process_time):.2f} ms of CPU")
    database.close()


def main() -> None:
    configure_logs("warning")
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder)))
        measured = Measured(answered, app.state.parts.metrics)
        print(f"one request: {cpu_us_a_request(measured) - cpu_us_a_request(answered):.1f} us of CPU")
        print(f"one step told: {cpu_us_a_step():.1f} us of CPU")
        with TestClient(app, base_url="http://127.0.0.1") as client:
            print(f"/health/ready: {median_ms(lambda: client.get('/health/ready'), time.perf_counter):.1f} ms")
        report_record("SQLite", f"sqlite:///{folder}/record.db")
    with servers.postgres() as url:
        report_record("PostgreSQL", url)


if __name__ == "__main__":
    main()
