"""Archives as others load them: by a reader of each library's documented rules, and by the library where it is there.

The libraries (pycocotools, anomalib, datasets) are not part of the project's environment.
"""

import importlib.util
import json
import re
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from PIL import Image

from tests.contract.conftest import World
from tests.contract.test_archives import made, opened, uploaded
from tests.fakes.worker_world import ROOT

EXAMPLE = runpy.run_path(str(ROOT / "examples" / "load_archive.py"))
#: Names that a loader or a file system might take for something else.
CLASSES = ("test", "good", "CON")
NEEDED = {
    "imagefolder": (), "coco": ("pycocotools",), "anomalib": ("anomalib",), "huggingface": ("datasets",),
}  # fmt: skip
#: A word of these in a folder's name, apart from other letters, makes `datasets` take it for a split.
SPLIT_WORDS = re.compile(r"(?<![a-z])(train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?![a-z])")


def as_imagefolder(folder: Path) -> Counter[str]:
    """ImageFolder: each folder is a class, with every picture below it; one without pictures is an error."""
    found = {one.name: len(list(one.rglob("*.png"))) for one in folder.iterdir() if one.is_dir()}
    assert all(found.values())
    return Counter(found)


def as_coco(folder: Path) -> Counter[str]:
    """pycocotools: images, annotations and categories by their ids; files below the images' folder."""
    index = json.loads((folder / "annotations.json").read_text())
    names = {one["id"]: one["name"] for one in index["categories"]}
    files = {one["id"]: one for one in index["images"]}
    for one in files.values():
        with Image.open(folder / "images" / one["file_name"]) as picture:
            assert picture.size == (one["width"], one["height"])
    assert {one["image_id"] for one in index["annotations"]} == set(files)
    return Counter(names[one["category_id"]] for one in index["annotations"])


def as_anomalib(folder: Path) -> Counter[str]:
    """anomalib: whatever lies below the normal folder is normal, whatever lies below the other one is not."""
    return Counter({name: len(list((folder / name).rglob("*.png"))) for name in ("normal", "abnormal")})


def as_huggingface(folder: Path) -> Counter[str]:
    """datasets: a split is a word in a path; a line of metadata.jsonl names its file from where it lies itself."""
    pictures = [one.relative_to(folder) for one in folder.rglob("*.png")]
    assert {tuple(SPLIT_WORDS.findall(one.parent.as_posix().lower())) for one in pictures} == {("train",)}
    lines = [json.loads(line) for line in (folder / "train" / "metadata.jsonl").read_text().splitlines()]
    assert {Path("train", line["file_name"]) for line in lines} == set(pictures)
    assert len({tuple(line) for line in lines}) == 1, "every line has the same columns"
    return Counter(line["label"] for line in lines)


READERS: dict[str, Callable[[Path], Counter[str]]] = {
    "imagefolder": as_imagefolder, "coco": as_coco, "anomalib": as_anomalib, "huggingface": as_huggingface,
}  # fmt: skip
EXPECTED: dict[str, dict[str, int]] = {
    "imagefolder": {"test": 6, "good": 6, "CON_": 6},
    "coco": {"test": 6, "good": 6, "CON": 6},
    "anomalib": {"normal": 6, "abnormal": 12},
    "huggingface": {"test": 6, "good": 6, "CON": 6},
}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """An archive does not know which database there is."""
    return f"sqlite:///{tmp_path / 'record.db'}"


@pytest.fixture
def archive(world: World, layout: str, tmp_path: Path) -> ZipFile:
    generation = made(world, uploaded(world, CLASSES), list(CLASSES))
    wanted: dict[str, Any] = {"format": layout, "include_real": True}
    if layout == "anomalib":
        wanted["normal_class"] = "good"
    return opened(world, generation, **wanted)[0]


@pytest.mark.parametrize("layout", sorted(READERS))
def test_a_reader_of_the_documented_rules_finds_every_picture_in_its_class(
    layout: str, archive: ZipFile, tmp_path: Path
) -> None:
    archive.extractall(tmp_path / "data")
    assert READERS[layout](tmp_path / "data") == EXPECTED[layout]
    assert EXAMPLE["told"](json.loads(archive.read("manifest.json"))) == EXPECTED[layout]
    assert EXAMPLE["LOADERS"].keys() == READERS.keys()


def where_installed(layout: str) -> Any:
    lacking = [name for name in NEEDED[layout] if importlib.util.find_spec(name) is None]
    reason = f"{' and '.join(lacking)} not installed"
    return pytest.param(layout, marks=pytest.mark.skipif(bool(lacking), reason=reason))


@pytest.mark.parametrize("layout", [where_installed(one) for one in sorted(READERS)])
def test_the_library_itself_finds_them_where_it_is_installed(layout: str, archive: ZipFile, tmp_path: Path) -> None:
    assert archive.fp is not None
    archive.fp.seek(0)
    (tmp_path / "data.zip").write_bytes(archive.fp.read())
    command = [sys.executable, EXAMPLE["__file__"], str(tmp_path / "data.zip")]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
