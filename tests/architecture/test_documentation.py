"""The documentation is built without a warning, tells everything that the code has, and asks nothing of a network."""

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer

from service.cli import app
from service.errors import ServiceError
from service.main import create_app
from service.settings import Settings
from tests.architecture.sources import ROOT
from worker.settings import WorkerSettings

pytest.importorskip("mkdocs", reason="MkDocs is not installed: pip install '.[docs]'")
#: Attributes by which a browser fetches by itself, without a click.
FETCHED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href"), ("source", "src")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "client" / "src")])
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": paths, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


class Page(HTMLParser):
    """What a page fetches by itself, and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if (tag, name) in FETCHED]
        self.ids |= {value or "" for name, value in attrs if name == "id"}


def errors(tree: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield tree
    for below in tree.__subclasses__():
        yield from errors(below)


def test_no_page_and_no_style_asks_anything_of_another_address(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    asked = {address for page in pages for address in Page(page).fetched}
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    asked |= set(re.findall(r"(?:url\(|@import\s*)[\"']?([^\"')]+)", styles))
    assert [address for address in asked if re.match(r"(?:\w+:)?//", address)] == []


def test_the_reference_tells_every_operation_schema_setting_command_and_error(site: Path, tmp_path: Path) -> None:
    application = create_app(Settings(data_dir=tmp_path), send=lambda kind, job_id: True)
    document = application.openapi()
    application.state.parts.database.close()
    operations = {one["operationId"] for path in document["paths"].values() for one in path.values()}
    assert operations <= Page(site / "reference" / "http-api.html").ids
    schemas = {name.lower() for name in document["components"]["schemas"] if not name.startswith("PageView_")}
    assert schemas <= Page(site / "reference" / "http-data.html").ids
    of_all, of_workers = Settings.model_fields, WorkerSettings.model_fields
    variables = [f"DEFECTSYNTH_{name.upper()}" for name in of_all]
    variables += [f"DEFECTSYNTH_WORKER_{name.upper()}" for name in of_workers]
    told = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    assert [name for name in variables if f"<code>{name}</code>" not in told] == []
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    told = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    assert [name for name in commands if f">defectsynth {name}" not in told] == []
    told = (site / "reference" / "errors.html").read_text(encoding="utf-8")
    assert [one.code for one in errors() if f"<code>{one.code}</code>" not in told] == []


def test_the_examples_stand_on_their_page_whole(site: Path) -> None:
    shown = re.sub(r"<[^>]+>", "", (site / "connect-a-qa-tool.html").read_text(encoding="utf-8"))
    for name in ("qa_with_requests.py", "qa_with_curl.sh"):
        last = (ROOT / "examples" / name).read_text(encoding="utf-8").rstrip().splitlines()[-1]
        assert html.escape(last, quote=False) in shown


def test_pictures_are_light_enough_to_be_read_over_a_slow_line() -> None:
    shown = re.findall(r"!\[.*?\]\((.*?)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(shown) == 2
    assert [name for name in shown if (ROOT / name).stat().st_size > 250_000] == []
