"""Who may import whom: the contracts of pyproject.toml, and what a fresh interpreter really loads."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

from tests.architecture.sources import ROOMS, ROOT, imported_modules, name_of, python_files

HEAVY = ("torch", "diffusers", "transformers", "peft", "scipy")
# Each is half of a declared one: fastapi is a layer over starlette, celery over kombu, typer over click.
BROUGHT_ON_PURPOSE = {"starlette", "kombu", "click"}


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


@pytest.mark.parametrize(
    ("room", "extras"), [("service", ["api", "s3"]), ("worker", ["worker", "c2pa"]), ("models", ["worker"])]
)
def test_every_third_party_import_is_a_declared_requirement_of_its_room(room: str, extras: list[str]) -> None:
    """What only another package happens to bring vanishes with that package's next version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    declared = {re.split(r"[\[<>=!~ ]", line)[0] for line in lines} | {"defectsynth", "defectsynth_client"} | set(ROOMS)
    providers = packages_distributions()
    undeclared = {
        f"{name_of(path)}: {module}"
        for path in python_files()
        if path.relative_to(ROOT).parts[0] == room
        for module in {name.split(".")[0] for name in imported_modules(path)} - sys.stdlib_module_names
        if not normal([*providers.get(module, []), module]) & normal(declared | BROUGHT_ON_PURPOSE)
    }
    assert undeclared == set()


def test_the_client_is_a_wheel_of_its_own_that_asks_for_httpx_and_pydantic_alone(tmp_path: Path) -> None:
    """It is imported from its wheel as if nothing else were installed but those two and what they need."""
    shutil.copytree(ROOT / "client", tmp_path / "client", ignore=shutil.ignore_patterns("*.egg-info", "build"))
    options = ("--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(tmp_path))
    built = run(sys.executable, "-m", "pip", "wheel", *options, str(tmp_path / "client"))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("defectsynth_client-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert "defectsynth_client/py.typed" in packed.namelist()
        [metadata] = [packed.read(name).decode() for name in packed.namelist() if name.endswith("/METADATA")]
    needed = re.findall(r"^Requires-Dist: ([\w-]+)", metadata, re.MULTILINE)
    assert sorted(needed) == ["httpx", "pydantic"]
    program = (
        f"import sys; sys.path[:] = [{str(wheel)!r}] + [one for one in sys.path if one != {str(ROOT)!r}]\n"
        f"sys.modules.update(dict.fromkeys({sorted(installed_beside(needed))!r}))\n"
        "import defectsynth_client\n"
        "assert defectsynth_client.__file__.startswith(sys.path[0])\n"
    )
    outcome = run(sys.executable, "-P", "-c", program)
    assert outcome.returncode == 0, outcome.stderr


def installed_beside(names: Iterable[str]) -> set[str]:
    """Every module here that does not come from these distributions, or from what they need."""
    allowed = needed_by(names)
    providers = packages_distributions().items()
    return {module for module, distributions in providers if not normal(distributions) & allowed} - {
        "defectsynth_client"
    }


def needed_by(names: Iterable[str]) -> set[str]:
    """These distributions, and all that they need without extras and on this Python."""
    found, waiting = set[str](), list(names)
    while waiting:
        if (name := waiting.pop()) in found:
            continue
        found.add(name)
        with suppress(PackageNotFoundError):  # for another Python
            lines = [line for line in requires(name) or [] if "extra ==" not in line]
            waiting += [re.split(r"[\[<>=!~; ]", line)[0] for line in lines]
    return normal(found)


def normal(names: Iterable[str]) -> set[str]:
    """As package indexes compare names: prometheus-client is prometheus_client."""
    return {name.lower().replace("_", "-") for name in names}
