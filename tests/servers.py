"""Real servers for tests: each on a free loopback port, with its files in a folder of its own, gone at the end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

START_TIMEOUT_SECONDS = 20.0
#: Where packages put the programs of a PostgreSQL server, which are not on the PATH.
_POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"


@contextmanager
def redis(folder: Path, port: int | None = None) -> Iterator[str]:
    """A Redis server that keeps nothing; its URL."""
    program = _program("redis-server")
    port = port or free_port()
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    with _running([program, *arguments], folder / "redis.log", signal.SIGTERM) as process:
        _wait_for_redis(process, port, folder / "redis.log")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL cluster; the URL of its empty database ``postgres``, whose user may make further ones."""
    with postgres_cluster() as cluster, postgres_server(cluster) as url:
        yield url


@dataclass(frozen=True)
class Cluster:
    """The files of a PostgreSQL cluster, the port it listens on, and the user that its server runs as."""

    folder: Path
    port: int
    user: str | None


@contextmanager
def postgres_cluster() -> Iterator[Cluster]:
    """A new cluster, removed at the end.

    The server refuses to run as root: for root it runs as the user that its package made.
    """
    initdb = _program("initdb", _POSTGRES_FOLDERS)
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="defectsynth-postgres-"))
    try:
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        made = subprocess.run(
            [initdb, "--pgdata", folder / "data", "--username", "tester", "--auth", "trust", "--encoding", "UTF8",
             "--locale", "C.UTF-8", "--no-sync"],
            cwd="/", user=user, group=user, extra_groups=[] if user else None, capture_output=True, text=True,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        yield Cluster(folder, free_port(), user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_server(cluster: Cluster, stop: signal.Signals = signal.SIGINT) -> Iterator[str]:
    """The cluster's server while the block runs; its time zone is not UTC, as an operator's may be.

    ``stop``: SIGINT ends it in order, SIGQUIT as a crash does.
    """
    server = _program("postgres", _POSTGRES_FOLDERS)
    options = {"fsync": "off", "timezone": "America/St_Johns", "max_connections": "200"}
    arguments = ["-D", str(cluster.folder / "data"), "-h", "127.0.0.1", "-p", str(cluster.port), "-k", ""]
    arguments += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    url = f"postgresql://tester@127.0.0.1:{cluster.port}/postgres"
    log_path = cluster.folder / "postgres.log"
    with _running([server, *arguments], log_path, stop, cluster.user) as process:
        _wait_for_postgres(process, url, log_path)
        yield url


@contextmanager
def _running(
    command: list[str], log_path: Path, stop: signal.Signals, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is told to ``stop`` at the end of the block, whatever happens."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, cwd="/", stdout=log, stderr=subprocess.STDOUT, user=user, group=user,
            extra_groups=[] if user else None,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(stop)
        process.wait(timeout=20)


def _program(name: str, folders: str = "") -> str:
    """Its path. Without it the test is skipped, and under ``CI=true`` it fails: there every server is installed."""
    found = shutil.which(name) or next(
        (str(folder / name) for folder in _newest_first(folders) if (folder / name).is_file()), None
    )
    if found is None:
        reason = f"{name} is not installed here and this test needs a real one; `make test` installs it if it may"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _newest_first(folders: str) -> list[Path]:
    found = Path("/").glob(folders.lstrip("/")) if folders else []
    return sorted(found, key=lambda folder: float(folder.parent.name), reverse=True)


def chromium() -> str:
    """Debian's browser; the test is skipped, or fails under ``CI=true``, without it."""
    return _program("chromium")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _wait_for_redis(process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    for _ in _tries(process):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            pass
    pytest.fail(f"redis-server did not answer on port {port}:\n{log_path.read_text()[-2000:]}")


def _wait_for_postgres(process: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    for _ in _tries(process):
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            pass
    pytest.fail(f"postgres did not answer at {url}:\n{log_path.read_text()[-2000:]}")


def _tries(process: subprocess.Popen[bytes]) -> Iterator[None]:
    give_up_at = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < give_up_at and process.poll() is None:
        yield
        time.sleep(0.05)
