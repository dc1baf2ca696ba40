"""Every command of the README and the tutorial is run as it stands, or else by a test that is named here."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import httpx
import pytest
import typer
from typer.testing import CliRunner

from service.cli import app
from tests.e2e.callers.conftest import Served
from tests.fakes.worker_world import ROOT

TUTORIAL, README = ROOT / "docs" / "tutorial.md", ROOT / "README.md"
OTHERS = sorted({ROOT / "client" / "README.md", *(ROOT / "docs").glob("*.md")} - {TUTORIAL})
ADDRESS = "http://127.0.0.1:8000"
FEW_STEPS = '{"steps": 5, "num_seeds": 2, "num_selection_seeds": 1, "ratios": [1], "image_size_px": 16}'
#: The same commands, with fewer steps.
QUICKER = {
    "defectsynth recognise ds_... gen_... --watch":
        f"defectsynth recognise ds_... gen_... --watch --settings '{FEW_STEPS}'",
    "client.recognise(dataset.id, generation.id)":
        f"client.recognise(dataset.id, generation.id, settings={FEW_STEPS})",
}  # fmt: skip


@dataclass(frozen=True)
class Elsewhere:
    """Not run here: make would set up an environment of its own. What it then ``runs``, and the ``test`` of that."""

    runs: str
    test: str


ELSEWHERE = {
    "make demo": Elsewhere("defectsynth demo", "e2e/test_demo.py::test_a_folder_of_classes_becomes_images"),
    "make demo DATA=folder": Elsewhere("demo --data 'folder'", "e2e/test_demo.py::test_a_folder_of_classes_becomes"),
    "make test": Elsewhere("python -m pytest", "e2e/callers/test_documents.py::test_every_command_is_run"),
    "make serve": Elsewhere("defectsynth serve", "e2e/callers/conftest.py::served"),
}


def blocks(page: Path, language: str) -> list[str]:
    """The page's blocks of code of a language, those in tabs included."""
    fenced = re.compile(rf"^([ ]*)```{language}\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(body) for _, body in fenced.findall(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> list[str]:
    """Every command of the page's shell blocks, on one line and without its remark."""
    lines = re.sub(r"\\\n\s*", "", "".join(blocks(page, "bash"))).splitlines()
    return [re.sub(r"\s+#( .*)?$", "", line) for line in lines if line and not line.startswith("#")]


@dataclass
class Desk:
    """A person's folder, in which commands are typed, and the ids that were told there."""

    folder: Path
    served: Served
    ids: dict[str, str] = field(default_factory=dict)
    typed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """An activated environment, and curl with the key."""
        programs = self.folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (programs / "python").chmod(0o755)
        (programs / "activate").write_text("")
        (self.folder / ".curlrc").write_text(f'header = "Authorization: Bearer {self.served.key}"\nfail-with-body\n')
        self.environment = {
            **os.environ, **self.served.environment, "CURL_HOME": str(self.folder),
            "DEFECTSYNTH_PORT": self.served.url.rpartition(":")[2],  # doctor looks who has it
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip

    def type(self, command: str) -> None:
        """Run it with the ids that were told last, and wait for what it started."""
        if command in self.typed:
            return
        self.typed.add(command)
        line = QUICKER.get(command, command).replace(ADDRESS, self.served.url)
        line = re.sub(r"\b([a-z]+_)\.\.\.", lambda found: self.ids[found[1]], line)
        told = (
            self.called(line) if line.startswith("defectsynth ") else self.run(["bash", "-euo", "pipefail", "-c", line])
        )
        self.ids |= {
            named.partition("_")[0] + "_": named for named in reversed(re.findall(r"\b[a-z]+_[0-9a-f]{32}", told))
        }
        self.wait()

    def called(self, line: str) -> str:
        """The command line in this process: starting Python for each call is most of what it takes."""
        with contextlib.chdir(self.folder):
            outcome = CliRunner().invoke(app, shlex.split(line)[1:], env=self.environment)
        assert outcome.exit_code == 0, f"{line}\n{outcome.output}{outcome.exception}"
        return outcome.stdout

    def run(self, command: list[str]) -> str:
        outcome = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert outcome.returncode == 0, f"{command[-1]}\n{outcome.stdout}{outcome.stderr}"
        return outcome.stdout

    def wait(self) -> None:
        """Until all jobs have ended."""
        headers = {"Authorization": f"Bearer {self.served.key}"}
        give_up_at = time.monotonic() + 120
        for state in ("queued", "running"):
            while httpx.get(f"{self.served.url}/v1/jobs", params={"state": state}, headers=headers).json()["items"]:
                assert time.monotonic() < give_up_at
                time.sleep(0.1)


@pytest.fixture(scope="module")
def desk(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"), served)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", [TUTORIAL, README], ids=lambda page: page.name)
def test_every_command_is_run(page: Path, desk: Desk) -> None:
    typed = commands(page)
    assert len(typed) > 10
    for command in typed:
        if command not in ELSEWHERE:
            desk.type(command)
    for name in ("images.zip", "synthetic.zip") if page == README else ("report.html", "for-training.zip"):
        assert (desk.folder / name).stat().st_size > 1000


def test_the_tutorials_python_does_the_same(desk: Desk) -> None:
    if not (desk.folder / "images").exists():
        desk.type("python -m models.prior.samples images --test")
    program = "".join(blocks(TUTORIAL, "python"))
    for as_written, quicker in QUICKER.items():
        program = program.replace(as_written, quicker)
    assert FEW_STEPS in program
    told = desk.run([sys.executable, "-W", "error", "-c", program])
    assert "as close as real images to each other?" in told
    assert (desk.folder / "recognition.html").stat().st_size > 1000


def test_what_is_run_elsewhere_is_what_make_runs_and_a_test_runs() -> None:
    written = {*commands(TUTORIAL), *commands(README)}
    assert {command for command in written if command.startswith("make ")} == ELSEWHERE.keys()
    for command, one in ELSEWHERE.items():
        dry = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert one.runs in dry.stdout, command
        path, _, name = one.test.partition("::")
        assert f"def {name}" in (ROOT / "tests" / path).read_text(encoding="utf-8")


def command_lines(page: Path) -> Iterator[list[str]]:
    """The words of every call of `defectsynth` on the page."""
    for command in commands(page):
        words = shlex.split(command)
        while words and re.fullmatch(r"[A-Z0-9_]+=.*", words[0]):
            words = words[1:]
        if words and Path(words[0]).name == "defectsynth":
            yield words[1:]


@pytest.mark.parametrize("page", [page for page in OTHERS if any(command_lines(page))], ids=lambda page: page.name)
def test_every_command_of_the_other_pages_is_understood(page: Path) -> None:
    for words in command_lines(page):
        command: click.Command = typer.main.get_command(app)
        name = "defectsynth"
        while isinstance(command, click.Group):
            name, command, words = words[0], command.commands[words[0]], words[1:]
        command.make_context(name, words)
