"""Live events as a client reads them, from a real server: browsers and tools hold such answers open for hours."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.pool import QueuePool

from service.contracts.ids import JobId
from service.contracts.jobs import JobFailure, JobKind, JobState, Progress
from service.main import create_app
from service.serving import server_of
from service.settings import Settings
from service.store import leases
from service.store.database import Database
from service.store.tables import JobRow
from tests.contract.conftest import Sender

KEY = "k" * 32
NUM_FOLLOWERS = 200


@dataclass
class Service:
    """An API behind a socket; the test plays its worker."""

    url: str
    database: Database
    tokens: dict[JobId, int]

    def queue(self, name: str, resource_id: str = "gen_1", tenant_id: str = "default") -> JobId:
        with self.database.transaction() as session:
            row = JobRow(
                id=name, tenant_id=tenant_id, kind=JobKind.GENERATION, resource_id=resource_id, class_name="pits",
                state=JobState.QUEUED, params={}, created_at=datetime.now(UTC), revision=0, fencing_token=0,
            )  # fmt: skip
            session.add(row)
        return JobId(name)

    def claim(self) -> JobId:
        with self.database.transaction() as session:
            job = leases.claim(
                session, worker_id="w", kinds=list(JobKind), resident_adapter_id=None, now=datetime.now(UTC),
                lease_seconds=30,
            )  # fmt: skip
        assert job is not None
        self.tokens[job.id] = job.fencing_token
        return job.id

    def progress(self, job_id: JobId, step: int) -> None:
        told = Progress(stage="generating", step=step, total=10, fraction=step / 10)
        with self.database.transaction() as session:
            leases.record_progress(session, job_id, self.tokens[job_id], told)

    def fail(self, job_id: JobId) -> None:
        failure = JobFailure(code="c", message="m", remedy="r")
        with self.database.transaction() as session:
            leases.fail(session, job_id, self.tokens[job_id], failure=failure, now=datetime.now(UTC))

    def open_streams(self) -> float:
        text = httpx.get(f"{self.url}/metrics").text
        return float(
            next(line for line in text.splitlines() if line.startswith("defectsynth_event_streams ")).split()[1]
        )


@contextmanager
def served(settings: Settings) -> Iterator[Service]:
    """In a thread; stopped as a signal stops it."""
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    server = server_of(create_app(settings, database=database, send=Sender()))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Service(f"http://127.0.0.1:{port}", database, {})
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive(), "open streams hold the server up"


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    with served(settings) as one:
        yield one


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of a stream, without comments."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line and "data" in fields:
            yield {**fields, "data": json.loads(fields["data"])}
        if not line:
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def test_a_stream_tells_what_polling_tells_from_the_queue_to_the_end(service: Service) -> None:
    job_id = service.queue("job_1")
    with httpx.stream("GET", f"{service.url}/v1/jobs/{job_id}/events", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer)
        first = next(told)
        polled = httpx.get(f"{service.url}/v1/jobs/{job_id}")
        assert (first["event"], first["data"]) == ("job", polled.json())
        assert first["data"]["queue_position"] == 1
        assert f'"{first["id"]}"' == polled.headers["etag"]
        service.claim()
        assert next(told)["data"]["state"] == "running"
        service.progress(job_id, 5)
        assert next(told)["data"]["progress"]["step"] == 5
        service.fail(job_id)
        last = list(told)[-1]
    polled = httpx.get(f"{service.url}/v1/jobs/{job_id}")
    assert (last["data"], f'"{last["id"]}"') == (polled.json(), polled.headers["etag"])


def test_who_comes_again_is_told_what_is_new_at_once_and_to_stop_when_all_was_seen(service: Service) -> None:
    job_id = service.queue("job_1")
    service.claim()
    url = f"{service.url}/v1/jobs/{job_id}/events"
    with httpx.stream("GET", url, timeout=20) as answer:
        seen = next(events(answer))["id"]
    service.progress(job_id, 3)
    with httpx.stream("GET", url, headers={"Last-Event-ID": seen}, timeout=20) as answer:
        missed = next(events(answer))
    assert missed["data"]["progress"]["step"] == 3
    service.fail(job_id)
    with httpx.stream("GET", url, headers={"Last-Event-ID": missed["id"]}, timeout=20) as answer:
        (last,) = events(answer)
    assert last["data"]["state"] == "failed"
    assert httpx.get(url, headers={"Last-Event-ID": last["id"]}).status_code == 204
    with httpx.stream("GET", url, headers={"Last-Event-ID": "of another job"}, timeout=20) as answer:
        assert list(events(answer)) == [last]


def test_one_stream_follows_all_jobs_of_a_resource_and_ends_with_the_last(service: Service) -> None:
    first, second = service.queue("job_1"), service.queue("job_2")
    service.queue("job_3", resource_id="gen_2")
    url = f"{service.url}/v1/events?resource_id=gen_1"
    with httpx.stream("GET", url, timeout=20) as answer:
        told = events(answer)
        assert [next(told)["data"]["id"] for _ in range(2)] == [first, second]
        service.fail(service.claim())
        service.fail(service.claim())
        rest = list(told)
    assert {one["data"]["id"]: one["data"]["state"] for one in rest} == {first: "failed", second: "failed"}
    assert httpx.get(url, headers={"Last-Event-ID": rest[-1]["id"]}).status_code == 204


def test_a_place_in_the_queue_moves_while_it_is_watched(service: Service) -> None:
    service.queue("job_1")
    behind = service.queue("job_2")
    with httpx.stream("GET", f"{service.url}/v1/jobs/{behind}/events", timeout=20) as answer:
        told = events(answer)
        assert next(told)["data"]["queue_position"] == 2
        service.claim()
        assert next(told)["data"]["queue_position"] == 1


def test_jobs_of_others_are_not_found_and_streams_are_bounded(settings: Settings) -> None:
    bounded = settings.model_copy(
        update={"admin_key": SecretStr(KEY), "max_event_streams": 2, "max_event_streams_per_key": 1}
    )
    with served(bounded) as service:
        mine, theirs = service.queue("job_1"), service.queue("job_2", "gen_2", tenant_id="other")
        assert httpx.get(f"{service.url}/v1/jobs/{mine}/events").status_code == 401
        with httpx.Client(base_url=service.url, headers={"X-API-Key": KEY}, timeout=20) as client:
            assert client.get(f"/v1/jobs/{theirs}/events").status_code == 404
            assert client.get("/v1/events?resource_id=gen_2").status_code == 404
            with client.stream("GET", f"/v1/jobs/{mine}/events") as answer:
                told = events(answer)  # Held on to, for a generator that is dropped closes the answer.
                next(told)
                refused = client.get(f"/v1/jobs/{mine}/events")
                assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
                assert "max_event_streams_per_key" in refused.json()["detail"]
            eventually(lambda: client.get("/v1/jobs").status_code == 200 and service.open_streams() == 0)


def eventually(is_so: Any, seconds: float = 10.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_a_stream_ends_after_its_time_so_that_a_key_is_looked_at_again(settings: Settings) -> None:
    with served(settings.model_copy(update={"max_event_stream_seconds": 0.2})) as service:
        job_id = service.queue("job_1")
        told = httpx.get(f"{service.url}/v1/jobs/{job_id}/events", timeout=20)
    assert (told.status_code, told.text.count("event: job")) == (200, 1)
    assert told.text.startswith("retry: 2000\n")


def test_two_hundred_followers_cost_no_thread_and_no_connection_and_all_hear_the_end(service: Service) -> None:
    job_id = service.queue("job_1")
    service.claim()
    url = f"{service.url}/v1/jobs/{job_id}/events"

    async def last_of(client: httpx.AsyncClient) -> str:
        async with client.stream("GET", url) as answer:
            lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
        return str(json.loads(lines[-1].removeprefix("data: "))["state"])

    async def reached(number: int) -> None:
        while await asyncio.to_thread(service.open_streams) < number:
            await asyncio.sleep(0.05)

    async def all_follow() -> list[str]:
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            following = [asyncio.create_task(last_of(client)) for _ in range(NUM_FOLLOWERS)]
            await reached(NUM_FOLLOWERS)
            assert len([one for one in threading.enumerate() if one.name == "AnyIO worker thread"]) <= 8 + 1
            assert in_use(service.database) <= 1  # by the tailer, for the moment of its look
            for step in range(1, 6):
                await asyncio.to_thread(service.progress, job_id, step)
                await asyncio.sleep(0.2)
            await asyncio.to_thread(service.fail, job_id)
            return await asyncio.gather(*following)

    assert asyncio.run(all_follow()) == ["failed"] * NUM_FOLLOWERS
    eventually(lambda: service.open_streams() == 0)


def in_use(database: Database) -> int:
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()
