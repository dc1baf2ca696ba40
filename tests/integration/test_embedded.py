"""One command that runs everything, as a real process with its real children."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.settings import Settings
from service.store.database import Database
from service.store.tables import WorkerRow

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from service.embedded import CannotServe, serve
from service.settings import Settings
try:
    serve(Settings())
except CannotServe as error:
    sys.exit(f"refused: {error}")
"""


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    data_dir: Path
    port: int

    def children(self) -> list[int]:
        """Every process below this one."""
        waiting, found = [self.process.pid], list[int]()
        while waiting:
            pid = waiting.pop()
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += (below := [int(child) for child in task.read_text().split()])
                found += below
        return found

    def is_alive(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def workers(self) -> list[str]:
        database = Database(Settings(data_dir=self.data_dir).sqlalchemy_url)
        with database.reading() as session:
            ids = [row.id for row in session.query(WorkerRow)]
        database.close()
        return ids


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def launch(data_dir: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DEFECTSYNTH_DATA_DIR": str(data_dir),
        "DEFECTSYNTH_PORT": str(port),
        "DEFECTSYNTH_DEVICE": "cpu",
    }
    with log.open("ab") as stream:
        return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=stream, stderr=stream)


def wait_for(condition: Callable[[], bool], timeout_seconds: float = 30.0) -> bool:
    give_up_at = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.1)
    return True


def is_gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or ") Z " in status.read_text()


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    service = Served(launch(folder / "data", port := free_port(), folder / "log"), folder / "data", port)
    try:
        assert wait_for(service.is_alive), (folder / "log").read_text()
        assert wait_for(lambda: len(service.workers()) == 1), (folder / "log").read_text()
        yield service
    finally:
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait()


def test_one_command_runs_all_keeps_it_running_and_ends_it(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        (first,) = service.workers()
        second_on_the_same_data = launch(service.data_dir, free_port(), tmp_path / "second.log")
        second_on_the_same_port = launch(tmp_path / "other", service.port, tmp_path / "third.log")
        assert second_on_the_same_data.wait(30) != 0
        assert "Another `defectsynth serve`" in (tmp_path / "second.log").read_text()
        assert second_on_the_same_port.wait(30) != 0
        assert f"Cannot listen on 127.0.0.1 port {service.port}" in (tmp_path / "third.log").read_text()
        os.kill(worker_of(service), signal.SIGKILL)
        assert wait_for(lambda: set(service.workers()) - {first} != set()), (tmp_path / "log").read_text()
        children = service.children()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=30) == 0
        assert all(is_gone(pid) for pid in children)


def worker_of(service: Served) -> int:
    """The Celery parent, by its command line."""
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in service.children()}
    return min(pid for pid, words in lines.items() if words[1:3] == [b"-m", b"worker"])


def test_nothing_is_left_behind_when_the_launcher_is_killed(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        children = service.children()
        assert len(children) >= 3
        service.process.kill()
        assert wait_for(lambda: all(is_gone(pid) for pid in children), timeout_seconds=15)


def test_children_are_given_every_setting_of_their_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.embedded import child_environment

    given = Settings(data_dir=tmp_path / "data", admin_key="k" * 40, lease_seconds=60, torch_threads=3)
    environment = child_environment(given)
    for name in [name for name in os.environ if name.startswith("DEFECTSYNTH_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        if name.startswith("DEFECTSYNTH_"):
            monkeypatch.setenv(name, value)
    received = Settings()
    assert json.loads(received.model_dump_json()) == json.loads(given.model_dump_json())
    assert received.admin_key == given.admin_key
