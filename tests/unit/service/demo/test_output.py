from pathlib import Path

import pytest

from service.demo.failure import DemoFailed
from service.demo.output import prepared, unpack


def test_an_earlier_demos_output_is_cleared_and_what_lies_beside_it_stays(tmp_path: Path) -> None:
    first = prepared(tmp_path / "out")
    (first.images / "pits").mkdir(parents=True)
    (first.images / "pits" / "000000.png").write_bytes(b"old")
    first.report.write_text("{}")
    (first.folder / "notes.txt").write_text("kept")
    again = prepared(tmp_path / "out")
    assert not again.images.exists()
    assert not again.report.exists()
    assert (again.folder / "notes.txt").read_text() == "kept"
    assert again.data_dir.is_dir()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DemoFailed, match="--out"):
        prepared(tmp_path)
    assert (tmp_path / "images").is_dir()


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK nothing")
    with pytest.raises(DemoFailed, match="cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "images")
