"""What uploads of small files that are large inside cost the API at its default limits, and everybody else meanwhile.

    python -m tests.benchmarks.upload_cost

Each attack meets an API process of its own, with keys, on loopback. While it lasts, another tenant polls and sends one
small image after the other. `--tree PATH` measures another checkout.
"""

import argparse
import io
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from service.contracts.ids import TenantId
from service.contracts.keys import Scope
from service.keys import mint, server_secret
from service.settings import Settings
from service.store.database import Database
from tests.benchmarks.test_service import wait_until_live
from tests.fakes.pictures import encoded, noise, png
from tests.integration.test_embedded import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 600.0


@dataclass
class Service:
    """A running API, and a key of each of two tenants."""

    port: int
    pid: int
    attacker: str
    honest: str

    def client(self, key: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"X-API-Key": key}, timeout=PATIENCE_SECONDS
        )

    def peak_mb(self) -> float:
        """The most memory that the process ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


@contextmanager
def running(tree: Path) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), require_keys=True, port=free_port())
        database = Database(settings.sqlalchemy_url)
        database.migrate()
        attacker, honest = (_key(database, settings, name) for name in ("attacker", "honest"))
        database.close()
        environment = {
            **os.environ, "PYTHONPATH": str(tree), "DEFECTSYNTH_DATA_DIR": folder, "TMPDIR": folder,
            "DEFECTSYNTH_REQUIRE_KEYS": "true", "DEFECTSYNTH_PORT": str(settings.port),
        }  # fmt: skip
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "api"], env=environment, stdout=log, stderr=log
            )
        try:
            wait_until_live(settings.port)
            yield Service(settings.port, process.pid, attacker, honest)
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_SECONDS)


def _key(database: Database, settings: Settings, name: str) -> str:
    key, _ = mint(
        database, server_secret(settings), tenant_id=TenantId(name), name=name, scopes=[Scope.WRITE],
        now=datetime.now(UTC), expires_at=None,
    )  # fmt: skip
    return key


def bomb(beginning: bytes, member_bytes: int, members: int) -> bytes:
    """Members that expand 140 times, which the default ratio allows."""
    block = random.Random(0).randbytes(400) + bytes(2**16 - 400)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(members):
            with archive.open(f"pits/{number}.png", "w", force_zip64=True) as member:
                member.write(beginning)
                for _ in range(member_bytes // len(block)):
                    member.write(block)
    return stream.getvalue()


def pictures(picture: bytes, suffix: str, number: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for index in range(number):
            archive.writestr(f"pits/{index}.{suffix}", picture)
    return stream.getvalue()


def noisy_jpeg() -> bytes:
    grain = np.random.default_rng(0).normal(128, 10, (8_000, 8_000)).clip(0, 255).astype(np.uint8)
    return encoded(Image.fromarray(grain).convert("RGB"), "JPEG", quality=90)


def measure(service: Service, attack: bytes, times: int) -> dict[str, str]:
    """Send the attack so many times at once, and ask as another tenant until all are answered."""
    began = time.monotonic()
    with ThreadPoolExecutor(times) as threads, service.client(service.honest) as honest:
        sent = [threads.submit(_sent, service, attack) for _ in range(times)]
        time.sleep(0.5)
        polls, uploads = _asked(honest, sent)
        codes = sorted({one.result() for one in sent})
    return {
        "sent": f"{times} x {len(attack) / 1e6:.1f} MB", "answers": ", ".join(codes),
        "seconds": f"{time.monotonic() - began:.1f}", "peak MB": f"{service.peak_mb():.0f}",
        "polls p50 / p99 ms": f"{np.percentile(polls, 50) * 1e3:.0f} / {np.percentile(polls, 99) * 1e3:.0f}",
        "slowest honest upload s": f"{max(uploads):.1f}",
    }  # fmt: skip


def _sent(service: Service, attack: bytes) -> str:
    with service.client(service.attacker) as client:
        answer = client.post("/v1/datasets", files={"archive": ("set.zip", attack)})
    told = answer.json()
    refused = [one["code"] for one in told.get("refused", [])]
    return f"{answer.status_code}: {told.get('accepted', 0)} kept" + "".join(f", {one}" for one in sorted(set(refused)))


def _asked(honest: httpx.Client, sent: list[Future[str]]) -> tuple[list[float], list[float]]:
    polls, uploads = [], []
    while not uploads or not all(one.done() for one in sent):
        files = [("images", ("pits/a.png", png(len(uploads))))]
        uploads.append(_seconds(lambda: honest.post("/v1/datasets", files=files)))  # noqa: B023
        polls += [_seconds(lambda: honest.get("/v1/jobs")) for _ in range(20)]
    return polls, uploads


def _seconds(ask: Callable[[], httpx.Response]) -> float:
    began = time.monotonic()
    ask().raise_for_status()
    return time.monotonic() - began


def attacks() -> Iterator[tuple[str, Callable[[], bytes], int]]:
    flat = encoded(Image.new("RGB", (8_000, 8_000), (9, 9, 9)))
    yield "1.5 GiB of no image in one member", lambda: bomb(b"", 3 * 2**29, 1), 1
    yield "190 MiB behind a PNG's header, ten times", lambda: bomb(png(1)[:60], 190 * 2**20, 10), 2
    yield "six flat pictures of 64 MP", lambda: pictures(flat, "png", 6), 2
    yield "forty flat pictures of 64 MP", lambda: pictures(flat, "png", 40), 2
    yield "four noisy JPEGs of 64 MP", lambda: pictures(noisy_jpeg(), "jpg", 4), 2
    yield "one small image", lambda: pictures(encoded(noise(1)), "png", 1), 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, default=ROOT)
    tree = parser.parse_args().tree
    table = Table("attack", "sent", "answers", "seconds", "peak MB", "polls p50 / p99 ms", "slowest honest upload s")
    for name, make, times in attacks():
        with running(tree) as service:
            table.add_row(name, *measure(service, make(), times).values())
    Console(width=220).print(table)


if __name__ == "__main__":
    main()
