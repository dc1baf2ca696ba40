"""Canonical safetensors: the same bytes from every process."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.errors import AdapterUnusable
from models.tensor_file import read_tensors, write_tensors

_WRITE = """
import sys, torch
from pathlib import Path
from models.tensor_file import write_tensors
write_tensors(Path(sys.argv[1]), {"b": torch.arange(3.0), "a": torch.ones(2, 2)}, {"z": "1", "k": "2", "c": "3"})
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", _WRITE, str(tmp_path / name)], check=True, cwd=Path(__file__).parents[3])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    tensors = {"b": torch.randn(3, 5).t(), "a": torch.zeros(0), "half": torch.ones(3, dtype=torch.float16)}
    write_tensors(tmp_path / "file", tensors, {"who": "me"})
    found, metadata = read_tensors(tmp_path / "file")
    assert metadata["who"] == "me"
    assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "file", {"a": torch.ones(100)})
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:-50])
    with pytest.raises(AdapterUnusable, match="cannot be read"):
        read_tensors(tmp_path / "file")


def test_a_process_that_was_frozen_while_it_wrote_spoils_nothing_that_is_written_since(tmp_path: Path) -> None:
    with (tmp_path / "file.partial").open("wb") as of_the_frozen:
        of_the_frozen.write(b"half a file")
        of_the_frozen.flush()
        write_tensors(tmp_path / "file", {"a": torch.ones(100)})
        of_the_frozen.write(b"and the rest of it")
    found, _ = read_tensors(tmp_path / "file")
    assert torch.equal(found["a"], torch.ones(100))
