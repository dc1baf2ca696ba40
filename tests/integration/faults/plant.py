"""A whole service of real processes, each of which can be killed: Redis, PostgreSQL, API, two workers, the sweep."""

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy.orm import Session

from service.contracts.ids import JobId
from service.contracts.jobs import JobKind
from tests import servers
from tests.fakes.worker_world import World
from tests.fakes.wrong_clock import VARIABLE as WRONG_CLOCK
from tests.fakes.wrong_clock import set_wrong
from tests.integration.faults.accounts import Accepted

#: On a machine that has much else to do, a worker takes more than a minute to start.
PATIENCE_SECONDS = 300.0


@dataclass
class Part:
    """One process of the plant, how it is started again, and the file by which its clock goes wrong."""

    start: Callable[[], subprocess.Popen[bytes]]
    clock: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.process = self.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self.start()

    def stop(self) -> int:
        """Ask it to stop, as an operator does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def pool_process(self) -> int | None:
        """The child of a worker that runs the jobs; None while it is being replaced."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[-1]) if children else None


class Server:
    """A server that can be restarted on its port. ``run`` starts it for the length of a block and gives its URL."""

    def __init__(self, run: Callable[[], AbstractContextManager[str]]) -> None:
        self._run = run
        self._running = contextlib.ExitStack()
        self.url = self._running.enter_context(run())

    def restart(self, away_seconds: float) -> None:
        """End it, be away for a while, and start it again."""
        self.end()
        time.sleep(away_seconds)
        self._running.enter_context(self._run())

    def end(self) -> None:
        """End it."""
        self._running.close()


class Plant:
    """The service under test. ``accepted``: everything that a client was told is accepted."""

    def __init__(self, world: World, redis: Server, postgres: Server) -> None:
        self.world, self.redis, self.postgres = world, redis, postgres
        port = servers.free_port()
        world.extra |= {"DEFECTSYNTH_PORT": str(port), "DEFECTSYNTH_WORKER_CHECKPOINT_SECONDS": "0.2"}
        self.url = f"http://127.0.0.1:{port}"
        self.api = self._part("api", "service.cli", "api")
        self.workers = [self._part(f"worker{number}", "worker") for number in range(2)]
        self.sweep = self._part("sweep", "worker.maintenance")
        self.accepted = Accepted()
        self._clients = ThreadPoolExecutor(60)
        # Every request has a connection of its own, as those of many clients have.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=self.url, timeout=30, limits=limits)

    def _part(self, name: str, *command: str) -> Part:
        clock = self.world.data_dir / f"{name}.clock"
        set_wrong(clock, 0)
        launcher = ("tests.fakes.wrong_clock", *command)
        return Part(lambda: self.world.started(*launcher, **{WRONG_CLOCK: str(clock)}), clock)

    @property
    def parts(self) -> list[Part]:
        return [self.api, *self.workers, self.sweep]

    def post(self, path: str, key: str | None = None, **request: Any) -> dict[str, Any]:
        """The accepted answer, however often the service dies in between: the same key makes one resource."""
        headers = {"Idempotency-Key": key or secrets.token_hex(8)}
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = self._http.post(path, headers=headers, **request)
                if answer.status_code in (200, 201, 202):
                    self.accepted.add(headers["Idempotency-Key"], answer)
                    found: dict[str, Any] = answer.json()
                    return found
                # Whoever asks again while the first is being answered is told to wait; so is a full queue's client.
                assert answer.status_code in (409, 429, 503), answer.text
            assert time.monotonic() < give_up_at, f"{path} was not accepted within {PATIENCE_SECONDS} s"
            time.sleep(0.2)

    def post_at_once(
        self, path: str, clients: int, key: str | None = None, **request: Any
    ) -> list[Future[dict[str, Any]]]:
        """The same request by ``clients`` clients with one key, in the background."""
        key = key or secrets.token_hex(8)
        return [self._clients.submit(self.post, path, key, **request) for _ in range(clients)]

    def get(self, path: str) -> httpx.Response:
        """Any final answer; the service may be away for a while."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = self._http.get(path)
                if answer.status_code < 500:
                    return answer
            assert time.monotonic() < give_up_at, path
            time.sleep(0.2)

    def settle(self) -> None:
        """Wait until every accepted job is final."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while unfinished := [job for job in self.accepted.job_ids if not self.is_final(job)]:
            assert time.monotonic() < give_up_at, (
                f"{unfinished} are not final:\n" + (self.world.data_dir / "processes.log").read_text()[-6000:]
            )
            time.sleep(0.2)

    def is_final(self, job_id: str) -> bool:
        return self.get(f"/v1/jobs/{job_id}").json()["state"] in ("succeeded", "failed", "canceled")

    def wait_for_running(self) -> None:
        """Until a worker is in the middle of a job."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not self.get("/v1/jobs?state=running").json()["items"]:
            assert time.monotonic() < give_up_at, "no job is running"
            time.sleep(0.02)

    def wait_until(self, is_so: Callable[[Session], bool]) -> None:
        """Until the record is as wanted."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            with self.world.database.reading() as session:
                if is_so(session):
                    return
            assert time.monotonic() < give_up_at, is_so.__name__
            time.sleep(0.05)

    def wake_everybody(self, times: int) -> None:
        """A message for every accepted job, over and over."""
        for job_id in self.accepted.job_ids * times:
            self.world.queue.send(JobKind.GENERATION, JobId(job_id))

    def end(self) -> None:
        for part in self.parts:
            if part.process.poll() is None:
                part.process.send_signal(signal.SIGCONT)
                part.process.send_signal(signal.SIGTERM)
        for part in self.parts:
            try:
                part.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                part.kill()
        self._clients.shutdown(cancel_futures=True)
        self._http.close()


def freeze(pid: int, seconds: float) -> None:
    """Longer than a lease: who comes back from it is believed dead."""
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
