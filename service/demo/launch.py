"""The demo's own service: started on a free loopback port, ended with the demo."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.demo.failure import DemoFailed
from service.embedded import child_environment
from service.settings import Settings

_START_TIMEOUT_SECONDS = 90.0
_STOP_TIMEOUT_SECONDS = 40.0
_TAIL_LINES = 15


class Service:
    """A running ``defectsynth serve``."""

    def __init__(self, process: "subprocess.Popen[bytes]", log_path: Path) -> None:
        self._process = process
        self._log_path = log_path

    def check(self) -> None:
        """Raise ``DemoFailed`` with the end of the log where the service has ended."""
        if self._process.poll() is not None:
            raise self.failure(f"The service ended with status {self._process.returncode}.")

    def failure(self, message: str) -> DemoFailed:
        """``message`` with the end of the service's log."""
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(f"  {line[:400]}" for line in lines[-_TAIL_LINES:])
        return DemoFailed(f"{message}\nThe end of its log ({self._log_path}):\n{tail}")

    def url(self) -> str:
        """Where it listens, as soon as it says so. Raises ``DemoFailed`` when it does not within a while."""
        give_up_at = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < give_up_at:
            self.check()
            found = _listening_url(self._log_path)
            if found is not None:
                return found
            time.sleep(0.1)
        raise self.failure(f"The service did not start within {_START_TIMEOUT_SECONDS:.0f} seconds.")

    def stop(self) -> None:
        """End it and what it started; forced where asking is not enough."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout=_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_service(settings: Settings, log_path: Path) -> Iterator[Service]:
    """The service, for as long as the block runs; its log goes to ``log_path``.

    In a session of its own, so that Ctrl-C reaches the demo alone, which then ends the service in order.
    """
    command = [sys.executable, "-m", "service.cli", "serve", "--end-with-parent"]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, env=child_environment(settings), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    service = Service(process, log_path)
    try:
        yield service
    finally:
        service.stop()


def _listening_url(log_path: Path) -> str | None:
    for line in log_path.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"service.listening"' in line:
            try:
                return str(json.loads(line)["url"])
            except (ValueError, KeyError):  # half a line so far
                return None
    return None
