"""Feed hostile files to the API in this process, under limits that the kernel keeps; one JSON object tells what came.

    python -m tests.fuzz.child FOLDER FIRST COUNT

Input number n is a function of n alone, so any one that fails can be made again.
"""

import hashlib
import io
import json
import logging
import os
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from service.logs import configure_logs
from service.main import create_app
from service.settings import Settings
from tests.fuzz.archives import hostile_archive
from tests.fuzz.pictures import SECRET, hostile_image, opens_as

MEMORY_BYTES = 2 * 2**30
CPU_SECONDS = 3_600
FILE_BYTES = 64 * 2**20
#: Of a processor, with the making of the input and the reading of the answer.
SECONDS_AN_INPUT = 10.0
#: Everything that a stored PNG may hold; anything else is metadata.
BARE_PNG = {b"IHDR", b"IDAT", b"IEND"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_MAKES_OR_STARTS = {
    "os.mkdir",
    "os.rename",
    "os.link",
    "os.symlink",
    "subprocess.Popen",
    "os.exec",
    "os.system",
    "socket.connect",
}


class Trespass:
    """Every write outside the folder, every program started and every connection made, as the interpreter saw it."""

    def __init__(self, folder: Path) -> None:
        self._inside = str(folder)
        self.seen: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            self._check(event, arguments[0])
        elif event in _MAKES_OR_STARTS:
            for one in arguments[:2]:
                self._check(event, one)

    def _check(self, event: str, path: object) -> None:
        if isinstance(path, str | bytes) and not os.fsdecode(path).startswith((self._inside, "/dev/null")):
            self.seen.append(f"{event} {path!r}")


def settings_of(folder: Path) -> Settings:
    """The limits are the defaults: what is measured holds for whoever sets none."""
    return Settings(data_dir=folder / "data")


def send(client: TestClient, number: int) -> tuple[str, Any]:
    """Input ``number``: the name of its trick, and the answer."""
    draw = random.Random(number)
    if draw.random() < 0.4:
        trick, archive = hostile_archive(draw)
        return f"zip: {trick}", client.post("/v1/datasets", files={"archive": ("set.zip", archive)})
    trick, filename, data = hostile_image(draw)
    return f"image: {trick}", client.post("/v1/datasets", files=[("images", (f"pits/{filename}", data))])


def complaints(client: TestClient, answer: Any) -> list[str]:
    """What is wrong with the answer, or with an image that it accepted."""
    told = answer.json()
    if answer.status_code != 201:
        problem = answer.headers["content-type"] == "application/problem+json" and told["code"] and told["remedy"]
        return [] if answer.status_code in (413, 422) and problem else [f"{answer.status_code} {answer.text[:300]}"]
    wrong = [f"refused without a remedy: {one}" for one in told["refused"] if not (one["code"] and one["remedy"])]
    for image in client.get(told["links"]["images"]).json()["items"]:
        wrong += stored_complaints(image, client.get(image["links"]["content"]).content)
    return wrong


def stored_complaints(image: dict[str, Any], data: bytes) -> list[str]:
    opened = opens_as(data)
    checks = {
        "other bytes than were promised": hashlib.sha256(data).hexdigest() == image["sha256"],
        "another size": opened.size == (image["width_px"], image["height_px"]),
        "another mode": opened.mode == image["mode"] and opened.mode in ("L", "RGB"),
        "metadata": chunks_of(data) <= BARE_PNG and SECRET not in data and not opened.info and not opened.getexif(),
    }
    return [f"the stored image has {what}" for what, holds in checks.items() if not holds]


def chunks_of(data: bytes) -> set[bytes]:
    stream, kinds = io.BytesIO(data[8:]), set()
    while head := stream.read(8):
        kinds.add(head[4:])
        stream.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    return kinds


def strays(folder: Path) -> list[str]:
    """Files in the folder that are neither the record nor an artefact under its own digest."""
    found = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    kept = [path for path in found if path.is_relative_to(folder / "data" / "artifacts") and len(path.name) == 64]
    return [str(path) for path in found if path not in set(kept) and path.name.partition("-")[0] != "defectsynth.db"]


def run(folder: Path, first: int, count: int) -> dict[str, Any]:
    trespass = Trespass(folder)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    slowest = (0.0, "")
    with TestClient(
        create_app(settings_of(folder), send=lambda kind, job_id: True),
        base_url="http://127.0.0.1",
        raise_server_exceptions=False,
    ) as client:
        for number in range(first, first + count):
            began = time.process_time()
            trick, answer = send(client, number)
            seconds = time.process_time() - began
            slowest = max(slowest, (seconds, f"{number} {trick}"))
            told = [*complaints(client, answer), *([f"took {seconds:.1f} s"] if seconds > SECONDS_AN_INPUT else [])]
            wrong += [f"input {number} ({trick}): {one}" for one in told]
            outcomes[outcome(answer)] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "wrong": wrong,
        "trespass": trespass.seen,
        "strays": strays(folder),
        "outcomes": dict(outcomes.most_common()),
        "slowest_seconds": slowest[0],
        "slowest": slowest[1],
        "peak_bytes": peak,
    }


def outcome(answer: Any) -> str:
    """One word for the table: an upload that was refused whole is told by the code of its first file."""
    told = answer.json()
    if answer.status_code == 201:
        return "accepted"
    return f"{answer.status_code} {told['refused'][0]['code'] if told.get('refused') else told['code']}"


if __name__ == "__main__":
    configure_logs(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
