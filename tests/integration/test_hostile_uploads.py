"""What only a socket can do to the API: break off, lie about lengths, never end. The process is the real one."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.fakes.pictures import encoded, zipped
from tests.integration.test_embedded import free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 3_000_000
HEAD = b"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="images"; filename="pits/a.png"\r\n\r\n'


@dataclass
class Running:
    port: int
    process: psutil.Process
    log: Path

    def is_live(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/live", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def spooled(self) -> list[str]:
        """Temporary files that the process holds; they have no name, so only it can give their room back."""
        held = []
        for link in list(Path(f"/proc/{self.process.pid}/fd").iterdir()):
            with suppress(FileNotFoundError):  # closed since it was listed
                held.append(str(link.readlink()))
        return [one for one in held if "(deleted)" in one]

    @contextmanager
    def connected(self, *pieces: bytes) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            for piece in pieces:
                connection.sendall(piece)
            yield connection

    def is_idle(self) -> bool:
        """Nothing of an earlier upload is still being decoded."""
        before = sum(self.process.cpu_times()[:2])
        time.sleep(0.3)
        return bool(sum(self.process.cpu_times()[:2]) - before < 0.02)

    def answer(self, *pieces: bytes) -> bytes:
        with self.connected(*pieces) as connection:
            told = connection.recv(65_536)
            while b"\r\n\r\n" not in told and (more := connection.recv(65_536)):
                told += more
        return told


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, port = tmp_path_factory.mktemp("api"), free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder),
        "DEFECTSYNTH_DATA_DIR": str(folder / "data"),
        "DEFECTSYNTH_PORT": str(port),
        "DEFECTSYNTH_MAX_REQUEST_BYTES": str(LIMIT_BYTES),
    }
    log = folder / "api.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "api"], env=environment, stdout=stream, stderr=stream
        )
    running = Running(port, psutil.Process(process.pid), log)
    try:
        assert wait_for(running.is_live), log.read_text()
        yield running
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_an_upload_that_breaks_off_leaves_no_file_and_no_crash(api: Running) -> None:
    for _ in range(5):
        with api.connected(HEAD + b"Content-Length: 2000000\r\n\r\n", PART, bytes(500_000)):
            assert wait_for(lambda: api.spooled() != []), "spooled to disk while it comes"
    assert wait_for(lambda: api.spooled() == [])
    assert api.is_live()
    assert "request.crashed" not in api.log.read_text()


def test_an_upload_whose_client_hangs_up_is_left_after_the_picture_at_hand(api: Running) -> None:
    picture = encoded(Image.new("L", (8_000, 8_000), 9))
    pictures = {f"pits/{number}.png": picture for number in range(40)}
    body = PART.replace(b"images", b"archive").replace(b"pits/a.png", b"a.zip") + zipped(pictures) + b"\r\n--b--\r\n"
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def seconds() -> float:
        return sum(api.process.cpu_times()[:2])

    before = seconds()
    with api.connected(whole):
        assert wait_for(lambda: seconds() - before > 0.5), "at work"
    assert wait_for(lambda: api.spooled() == [])
    assert seconds() - before < 5.0, "of some 20 that all of them take"
    assert "request.crashed" not in api.log.read_text()


def test_a_body_without_length_is_cut_off_at_the_limit_and_takes_no_memory(api: Running) -> None:
    chunk = b"%x\r\n%b\r\n" % (200_000, bytes(200_000))
    first = b"%x\r\n%b\r\n" % (len(PART), PART)

    def refused() -> None:
        told = api.answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", first, *[chunk] * (LIMIT_BYTES // 200_000 + 1))
        assert told.startswith(b"HTTP/1.1 413")

    refused()  # The first upload of all imports what reads forms.
    assert wait_for(api.is_idle)
    before = api.process.memory_info().rss
    for _ in range(15):
        refused()
    assert wait_for(lambda: api.spooled() == [])
    assert api.process.memory_info().rss - before < 20_000_000, "15 bodies of 3 MB were sent"


def test_a_length_above_the_limit_is_refused_before_a_byte_of_it(api: Running) -> None:
    assert api.answer(HEAD + b"Content-Length: 999999999999\r\n\r\n").startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Content-Length: x\r\n\r\n",
        b"A" * 200_000 + b": b\r\n\r\n",
    ],
    ids=["both lengths", "a negative length", "two lengths", "no number", "a long header"],
)
def test_lies_about_the_length_are_refused_or_harmless(api: Running, headers: bytes) -> None:
    try:
        told = api.answer(HEAD + headers)
    except ConnectionError:
        told = b""
    assert not told.startswith(b"HTTP/1.1 5")
    assert api.is_live()


def test_a_hundred_clients_that_send_slowly_do_not_keep_others_waiting(api: Running) -> None:
    slow = [socket.create_connection(("127.0.0.1", api.port), timeout=10) for _ in range(100)]
    try:
        for one in slow:
            one.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + PART)
        began = time.monotonic()
        assert all(api.is_live() for _ in range(5))
        assert time.monotonic() - began < 5
    finally:
        for one in slow:
            one.close()
    assert wait_for(lambda: api.spooled() == [])
