"""The house rules that a program can check."""

import re
import statistics
import tomllib

from tests.architecture.sources import ROOT, functions_of, imported_modules, name_of, python_files

LONGEST_FILE_LINES = 320
LONGEST_FUNCTION_LINES = 60
MEDIAN_FUNCTION_LINES = 10
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}


def test_the_four_rooms_exist_and_hold_code() -> None:
    assert {name_of(path).split("/")[0] for path in python_files()} == {"service", "worker", "models", "client"}


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE_LINES} == {}


def test_no_function_is_longer_than_sixty_lines() -> None:
    """Migrations aside: each lists the tables as they were on its day and is never edited afterwards."""
    too_long = [
        f"{name_of(path)}:{function.lineno} {function.name}"
        for path in python_files()
        if "migrations" not in path.parts
        for function in functions_of(path)
        if (function.end_lineno or 0) - function.lineno + 1 > LONGEST_FUNCTION_LINES
    ]
    assert too_long == []


def test_half_of_all_functions_are_shorter_than_ten_lines() -> None:
    lengths = [(f.end_lineno or 0) - f.lineno + 1 for path in python_files() for f in functions_of(path)]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION_LINES


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    parts = {part for path in python_files() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert parts & NAMES_THAT_SAY_NOTHING == set()


def test_nothing_imports_or_requires_torchvision() -> None:
    importers = [name_of(path) for path in python_files() if "torchvision" in imported_modules(path)]
    assert importers == []
    for name in ("pyproject.toml", "constraints.txt"):
        assert "torchvision" not in (ROOT / name).read_text(encoding="utf-8")


def test_torch_is_pinned_to_one_version_without_a_local_build_suffix() -> None:
    pins = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(pins) == 1
    assert "+" not in pins[0]


def test_every_direct_requirement_is_pinned_in_the_constraints_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    assert {re.split(r"[\[<>=!~ ]", line)[0] for line in required} - pinned == set()


def test_the_environment_is_read_in_the_composition_roots_alone() -> None:
    """A setting that is read deep inside cannot be given by a test or named in an error at start."""
    roots = re.compile(
        r"service/(settings|embedded|cli)\.py|worker/(app|settings|__main__)\.py|models/prior/\w+\.py"
        r"|client/src/defectsynth_client/connection\.py"
    )
    readers = [
        name_of(path)
        for path in python_files()
        if not roots.fullmatch(name_of(path)) and re.search(r"os\.(environ|getenv)", path.read_text(encoding="utf-8"))
    ]
    assert readers == []
