"""Hostile images and zips through the real intake, in a child process that the kernel keeps within bounds.

`make fuzz` sends 10,000: FUZZ_INPUTS is how many.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.pictures import originals

ROOT = Path(__file__).resolve().parents[2]
INPUTS = int(os.environ.get("FUZZ_INPUTS", "400"))
SECONDS_AN_INPUT = 0.5


def fuzzed(folder: Path, first: int, count: int) -> dict[str, Any]:
    """What the child tells; it sees no folder but its own."""
    (folder / "tmp").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder / "tmp"),
        "OMP_NUM_THREADS": "1",
    }
    child = subprocess.run(
        [sys.executable, "-B", "-m", "tests.fuzz.child", str(folder), str(first), str(count)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60 + SECONDS_AN_INPUT * count,
        check=False,
    )
    assert child.returncode == 0, f"the child ended with {child.returncode}:\n{child.stderr[-3000:]}"
    told: dict[str, Any] = json.loads(child.stdout)
    return told


def test_hostile_files_crash_nothing_leave_nothing_behind_and_are_answered(tmp_path: Path) -> None:
    told = fuzzed(tmp_path, 0, INPUTS)
    print(json.dumps({name: value for name, value in told.items() if name != "wrong"}, indent=1))
    assert told["wrong"] == []
    assert told["trespass"] == []
    assert told["strays"] == []
    assert told["outcomes"]["accepted"] > INPUTS / 20, "the damage is too heavy to reach what lies behind the border"
    assert len(told["outcomes"]) >= min(8, INPUTS / 20)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp"])
def test_the_originals_hold_what_must_not_survive(suffix: str) -> None:
    from tests.fuzz.pictures import SECRET

    files = [data for found, data in originals() if found == suffix]
    assert files
    assert suffix == "bmp" or any(SECRET in data for data in files)
