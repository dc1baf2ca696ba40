"""What the API costs: polls against a minimal route, uploads, downloads and the start. Prints a table.

    python -m tests.benchmarks.api_speed

Every server is a process of its own on loopback, on a new data folder (`--folder` says on which disk). Ways of one kind
are measured by turns; figures are medians, and of ratios the least and the largest of the rounds stand beside.
"""

import argparse
import io
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread

import httpx
import psutil

from service.settings import Settings
from tests.benchmarks import api_record, results_page
from tests.benchmarks.closed_loop import Rate, rate
from tests.fakes.pictures import png, zipped
from tests.servers import free_port

ADMIN_KEY = "a key for this benchmark alone, on loopback"
NUM_UPLOADED, IMAGE_SIDE_PX = 300, 200
NUM_DOWNLOADED = (100, 1_000)
NUM_CLIENTS = 8
PLAIN = "minimal route"
Rows = list[list[str]]
#: A server, what is sent to it besides the path, and what it must answer with.
Way = tuple["Server", dict[str, str], int]


@dataclass(frozen=True)
class Server:
    """A process that answers on a port of loopback, ``started_seconds`` after it was begun."""

    port: int
    pid: int
    started_seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss_mb(self) -> float:
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6


@contextmanager
def running(data_dir: Path, words: list[str], path: str, port: int, **variables: str) -> Iterator[Server]:
    """The process, once ``path`` is answered, whatever with."""
    environment = {**os.environ, "DEFECTSYNTH_DATA_DIR": str(data_dir), "DEFECTSYNTH_PORT": str(port), **variables}
    with (data_dir / f"{port}.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, *words], env=environment, stdout=log, stderr=log)
    try:
        _wait(process, port, path)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    while process.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", port)
            connection.request("GET", path)
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} ended with {process.returncode}")


def api(data_dir: Path, **variables: str) -> AbstractContextManager[Server]:
    """The service's API, in the command's defaults."""
    return running(data_dir, ["-m", "service.cli", "api"], "/health/live", free_port(), **variables)


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def polls(data_dir: Path, seconds: float, rounds: int) -> Rows:
    """Each way by turns, for jobs in three states."""
    keyed = {"DEFECTSYNTH_REQUIRE_KEYS": "true", "DEFECTSYNTH_ADMIN_KEY": ADMIN_KEY}
    port = free_port()
    words = ["-m", "tests.benchmarks.plain_route", str(data_dir), str(port)]
    rows: Rows = []
    with running(data_dir, words, "/", port) as plain, api(data_dir) as ours, api(data_dir, **keyed) as with_keys:
        for state in ("running", "queued", "succeeded"):
            path = f"/v1/jobs/job_{state}"
            known = {"If-None-Match": httpx.get(ours.url + path).headers["etag"]}
            ways: dict[str, Way] = {
                PLAIN: (plain, {}, 200),
                "200": (ours, {}, 200),
                "304": (ours, known, 304),
                "200, with a key": (with_keys, {"X-API-Key": ADMIN_KEY}, 200),
            }
            rows += _compared(f"`GET /v1/jobs/{{id}}`, job {state}: ", path, ways, seconds, rounds)
    return rows


def _compared(what: str, path: str, ways: dict[str, Way], seconds: float, rounds: int) -> Rows:
    found: dict[str, list[Rate]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (server, headers, status) in ways.items():
            one = rate(server.port, server.pid, path, headers, status, seconds, NUM_CLIENTS)
            if number:  # The first round warms up.
                found[name].append(one)
    return [
        [what + name, f"{_median(one.per_second for one in many):.0f} a second, "
         f"{_median(one.cpu_us for one in many):.0f} us of processor",
         *(_against(many, found[one]) for one in (PLAIN, "200"))]
        for name, many in found.items()
    ]  # fmt: skip


def _against(ours: list[Rate], theirs: list[Rate]) -> str:
    """By rounds: what else the machine did then, it did to both."""
    pairs = list(zip(ours, theirs, strict=True))
    rates = [one.per_second / other.per_second for one, other in pairs]
    by_cpu = [other.cpu_us / one.cpu_us for one, other in pairs]
    return f"{_ranged(rates)}, by processor time {_ranged(by_cpu)}"


def _ranged(values: list[float]) -> str:
    return f"{_median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def uploads(data_dir: Path, rounds: int) -> Rows:
    """The whole request until its answer, of images that the store does not have yet."""
    size = (IMAGE_SIDE_PX, IMAGE_SIDE_PX)
    seconds, cpu = [], []
    with api(data_dir) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        for number in range(rounds + 1):
            seeds = range(number * NUM_UPLOADED, (number + 1) * NUM_UPLOADED if number else 3)
            archive = zipped({f"pits/{seed}.png": png(seed, size) for seed in seeds}, zipfile.ZIP_STORED)
            began, before = time.perf_counter(), _cpu_seconds(server)
            answer = client.post("/v1/datasets", files={"archive": ("set.zip", archive)})
            seconds.append(time.perf_counter() - began)
            cpu.append(_cpu_seconds(server) - before)
            assert answer.json()["accepted"] == len(seeds), answer.text
    told = f"{_median(seconds[1:]):.2f} s, {_median(cpu[1:]):.2f} s of processor"
    what = f"`POST /v1/datasets`, {NUM_UPLOADED} images of {IMAGE_SIDE_PX} px in a zip"
    return [[what, told, "< 1.5 s"]]


def _cpu_seconds(server: Server) -> float:
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def downloads(data_dir: Path, rounds: int) -> Rows:
    """What the server holds at most while it sends an archive, over what it held before."""
    settings, rows = Settings(data_dir=data_dir), []
    for number in NUM_DOWNLOADED:
        api_record.publish(settings, f"gen_{number}", number)
    with api(data_dir) as server:
        _downloaded(server, NUM_DOWNLOADED[0])  # what is loaded once
        for number in NUM_DOWNLOADED:
            taken = [_downloaded(server, number) for _ in range(rounds)]
            first, whole, gained = (_median(one) for one in zip(*taken, strict=True))
            what = f"archive of {number} images, {number * api_record.IMAGE_BYTES / 1e6:.0f} MB"
            told = f"first byte {1e3 * first:.0f} ms, whole {whole:.2f} s, {gained:.1f} MB more memory"
            rows.append([what, told, "flat"])
    return rows


def _downloaded(server: Server, number: int) -> tuple[float, float, float]:
    """Seconds to the first byte and to the last; MB of memory gained at most."""
    over, before, seen = Event(), server.rss_mb(), [server.rss_mb()]

    def watch() -> None:
        while not over.wait(0.002):
            seen.append(server.rss_mb())

    watching = Thread(target=watch)
    watching.start()
    began = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", f"/v1/generations/gen_{number}/archive")
    answer = connection.getresponse()
    assert answer.read(1)
    first = time.perf_counter() - began
    kept = io.BytesIO()
    while piece := answer.read(2**16):
        kept.write(piece)
    whole = time.perf_counter() - began
    over.set()
    watching.join()
    assert kept.tell() > number * api_record.IMAGE_BYTES
    return first, whole, max(seen) - before


def starts(data_dir: Path, rounds: int) -> Rows:
    """Until ``/health/live`` is answered, on a new data folder and on one that is there."""
    found: dict[str, list[tuple[float, float]]] = {"new data folder": [], "again": []}
    for number in range(rounds):
        folder = data_dir / f"start-{number}"
        folder.mkdir()
        for taken in found.values():
            with api(folder) as server:
                taken.append((server.started_seconds, _cpu_seconds(server)))
    medians = {name: [_median(one) for one in zip(*taken, strict=True)] for name, taken in found.items()}
    return [
        [f"start of the API, {name}", f"{seconds:.2f} s, {cpu:.2f} s of processor", "< 2 s"]
        for name, (seconds, cpu) in medians.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.4, help="of polling, each way and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the data folder is made; else where temporary files are")
    parser.add_argument("--only", choices=("polls", "uploads", "downloads", "starts"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        data_dir = Path(folder)
        api_record.fill(Settings(data_dir=data_dir))
        parts: dict[str, Callable[[], Rows]] = {
            "polls": lambda: polls(data_dir, arguments.seconds, arguments.rounds),
            "uploads": lambda: uploads(data_dir, arguments.rounds),
            "downloads": lambda: downloads(data_dir, arguments.rounds),
            "starts": lambda: starts(data_dir, arguments.rounds),
        }
        found = {name: part() for name, part in parts.items() if arguments.only in (None, name)}
    command = shlex.join(["python", "-m", "tests.benchmarks.api_speed", *sys.argv[1:]])
    print(f"`{command}`, commit {results_page.commit()}, {results_page.machine()}\n")
    for name, rows in found.items():
        header = ["what", "measured", f"rate by the {PLAIN}'s", "rate by that of 200"]
        print(results_page.markdown_table(header if name == "polls" else ["what", "measured", "target"], rows), "\n")


if __name__ == "__main__":
    main()
