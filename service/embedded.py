"""The all-in-one launcher: API, worker and sweep from one command, with nothing else installed.

The API runs in this process; worker and sweep are children, restarted when they die and ended when this one does (on
Linux the kernel sees to it even if this process is killed).
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from service.logs import configure_logs, get_logger
from service.main import create_app
from service.serving import server_of
from service.settings import Settings
from service.store.database import Database

_log = get_logger()

#: What runs beside the API, as ``python -m`` modules: this room does not import the worker's.
CHILDREN = ("worker", "worker.maintenance")
_PARENT_PID_VARIABLE = "DEFECTSYNTH_PARENT_PID"

#: A child that dies is started again after a second, then two, ... and one that lived long enough starts over at one.
_FIRST_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS, _HEALTHY_SECONDS = 1.0, 30.0, 60.0
_WATCH_SECONDS = 0.2
_HTTP_GRACE_SECONDS = 5
_CHILD_GRACE_SECONDS = 20.0


class CannotServe(Exception):
    """The service cannot start here; the message says why and what to do."""


@dataclass
class _Child:
    """One child process with the history that decides when it is started again."""

    module: str
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    backoff_seconds: float = _FIRST_BACKOFF_SECONDS
    due_at: float = 0.0


class Children:
    """Keeps the child processes running from a thread until it is told to stop.

    One thread starts them all and outlives them: the kernel ends a child when the THREAD that started it ends.
    """

    def __init__(
        self, environment: dict[str, str], modules: tuple[str, ...] = CHILDREN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._environment = environment
        self._children = [_Child(module) for module in modules]
        self._clock = clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="children", daemon=True)

    def start(self) -> None:
        """Start them, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End them: asked first, so that the running job goes back to the queue, then forced."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            for child in self._children:
                self._look_after(child)
            self._over.wait(_WATCH_SECONDS)
        self._end_all()

    def _look_after(self, child: _Child) -> None:
        now = self._clock()
        if child.process is not None and child.process.poll() is not None:
            lived = now - child.started_at
            child.backoff_seconds = _FIRST_BACKOFF_SECONDS if lived > _HEALTHY_SECONDS else child.backoff_seconds
            child.due_at = now + child.backoff_seconds
            status = child.process.returncode
            _log.error("child.died", module=child.module, status=status, again_in_seconds=child.backoff_seconds)
            child.backoff_seconds = min(2 * child.backoff_seconds, _LONGEST_BACKOFF_SECONDS)
            child.process = None
        if child.process is None and now >= child.due_at:
            child.started_at = now
            # A session of its own: Ctrl-C in the terminal is for this process, which then asks its children.
            child.process = subprocess.Popen(
                [sys.executable, "-m", child.module], env=self._environment, start_new_session=True
            )

    def _end_all(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        give_up_at = time.monotonic() + _CHILD_GRACE_SECONDS
        for process in running:
            try:
                process.wait(timeout=max(0.0, give_up_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("child.killed", pid=process.pid)
                process.kill()
                process.wait()


def serve(settings: Settings) -> None:
    """Run everything until SIGINT or SIGTERM. Raises `CannotServe`."""
    configure_logs(settings.log_level)
    _make_data_dir(settings.data_dir)
    with _only_one(settings.data_dir.resolve()), _listening(settings.host, settings.port) as listener:
        _migrate(settings)
        children = Children(child_environment(settings))
        with _stopped_by_signals():
            try:
                children.start()
                _serve_http(settings, listener)
            finally:
                children.stop()
    _log.info("service.stopped")


def _serve_http(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    server = server_of(create_app(settings), grace_seconds=_HTTP_GRACE_SECONDS)
    _log.info("service.listening", url=f"http://{host}:{port}")
    server.run(sockets=[listener])
    if not server.started:
        raise CannotServe("The API could not start: the log above says why.")


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment, and every setting as its variable: children see what this process was given."""
    environment = {**os.environ, _PARENT_PID_VARIABLE: str(os.getpid())}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        variable = f"DEFECTSYNTH_{name.upper()}"
        environment.pop(variable, None)
        if isinstance(value, SecretStr):
            environment[variable] = value.get_secret_value()
        elif isinstance(value, Path):
            environment[variable] = str(value.resolve())
        elif value is not None:
            environment[variable] = str(value)
    return environment


def _make_data_dir(data_dir: Path) -> None:
    """Raises `CannotServe` where this user can make no folder or no file there."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / "serve.lock").touch()
    except OSError as error:
        raise CannotServe(
            f"Cannot write to {data_dir} ({error.strerror}). "
            "Make it writable for this user, or set DEFECTSYNTH_DATA_DIR to another folder."
        ) from error


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data folder's lock; the kernel gives it back however this process ends."""
    with (data_dir / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise CannotServe(
                f"Another `defectsynth serve` (process {lock.read().strip() or 'unknown'}) runs on {data_dir}. "
                "Stop it, or set DEFECTSYNTH_DATA_DIR to another folder."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """The listening socket, bound before anything is started. Raises `CannotServe`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(2048)
        except OSError as error:
            raise CannotServe(
                f"Cannot listen on {host} port {port} ({error.strerror}). "
                "Stop what uses it, or set DEFECTSYNTH_PORT to another port."
            ) from error
        yield listener


class _Stopped(BaseException):
    """SIGINT or SIGTERM outside uvicorn's own hands."""


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """The first signal ends the block, later ones change nothing: the children need the time to end.

    While uvicorn runs it takes the signals itself, shuts down, and raises them once more.
    """
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise _Stopped

    kept = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Stopped:
        pass
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _migrate(settings: Settings) -> None:
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    database.close()
