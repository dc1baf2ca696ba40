"""A service for callers: real, with a key, a tiny base model as `mini`, and one that does not open as `broken`."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.worker_world import ROOT, build_registry

QUICK = """
[models.mini.adaptation]
textual_inversion = { steps = 4, batch_size = 2 }
lora = { steps = 4, batch_size = 2, rank = 2 }
search = { max_trials = 0 }
[models.mini.generation]
num_inference_steps = 4
[models.broken]
path = "broken"
"""
KEY = "0123456789abcdef" * 2


@dataclass(frozen=True)
class Served:
    """Where the service is, and what a caller's environment must say."""

    url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "client" / "src")])
        return {"DEFECTSYNTH_URL": self.url, "DEFECTSYNTH_API_KEY": self.key, "PYTHONPATH": paths, "COLUMNS": "120"}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    registry = build_registry(folder)
    registry.write_text(registry.read_text() + QUICK)
    shutil.copytree(folder / "tiny", folder / "broken")
    (folder / "broken" / "unet" / "config.json").write_text("{")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "DEFECTSYNTH_DATA_DIR": str(folder / "data"),
        "DEFECTSYNTH_BASE_MODELS": str(registry),
        "DEFECTSYNTH_DEVICE": "cpu",
        "DEFECTSYNTH_ADMIN_KEY": KEY,
    }
    log = folder / "log"
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--end-with-parent"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=stream, stderr=stream)
    try:
        yield Served(listening(process, log), KEY)
    finally:
        process.terminate()
        process.wait(timeout=40)


def listening(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address, as soon as the service says it."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if '"service.listening"' in line and line.endswith("}"):
                return str(json.loads(line)["url"])
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-4000:])
