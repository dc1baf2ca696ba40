"""Who may import whom: the contracts of pyproject.toml, and what a fresh interpreter really loads."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

HEAVY = ("torch", "diffusers", "transformers", "peft", "scipy")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_the_import_contracts_are_kept() -> None:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert program is not None, "import-linter is missing: install the extra `dev`"
    outcome = run(program, "--no-cache")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("module", ["service.main", "service.cli", "worker.app", "worker.maintenance"])
def test_the_light_processes_start_without_torch(module: str) -> None:
    """The API, the command line, and both workers' parent processes: torch belongs to the child that runs jobs."""
    program = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    outcome = run(sys.executable, "-c", program)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.split() == []


def test_the_command_line_asks_for_nothing_that_the_worker_image_lacks() -> None:
    """`defectsynth worker` runs from an image that has the extra `worker` alone."""
    program = (
        "import sys\n"
        "for name in ('fastapi', 'uvicorn', 'httpx', 'jinja2', 'python_multipart'):\n"
        "    sys.modules[name] = None\n"
        "import service.cli, worker.app"
    )
    outcome = run(sys.executable, "-c", program)
    assert outcome.returncode == 0, outcome.stderr


def test_the_maintenance_worker_asks_for_nothing_that_the_api_image_lacks() -> None:
    """It runs from the API's image, in which no package of the extra `worker` is installed."""
    program = (
        "import sys\n"
        "lacking = 'torch', 'diffusers', 'transformers', 'peft', 'accelerate', 'safetensors', 'tokenizers', 'tqdm'\n"
        "for name in lacking:\n"
        "    sys.modules[name] = None\n"
        "import service.cli, service.main, worker.app, worker.maintenance"
    )
    outcome = run(sys.executable, "-c", program)
    assert outcome.returncode == 0, outcome.stderr
