import zipfile
from pathlib import Path

import pytest
from PIL import Image

from service.demo.failure import DemoFailed
from service.demo.inputs import check_data, draw_samples, pack, with_room_for
from service.settings import Settings
from tests.fakes.pictures import png


def test_class_folders_are_packed_without_loose_and_hidden_files(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for name in ("pits/1.png", "test/pits/2.png", "pits/.hidden.png", ".git/config", "loose.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(1))
    (folder / "empty").mkdir()
    pack(folder, tmp_path / "upload.zip")
    with zipfile.ZipFile(tmp_path / "upload.zip") as archive:
        assert sorted(archive.namelist()) == ["empty/", "pits/1.png", "test/pits/2.png"]


def test_a_folder_without_class_folders_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "loose.png").write_bytes(png(1))
    with pytest.raises(DemoFailed, match="Put the images of each class in a folder of its own"):
        check_data(tmp_path)
    with pytest.raises(DemoFailed, match="is not a folder"):
        check_data(tmp_path / "nowhere")


def test_the_limits_grow_with_the_upload_and_never_shrink(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "pits"
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f"{number}.png").write_bytes(png(number))
    pack(tmp_path / "data", archive := tmp_path / "upload.zip")
    grown = with_room_for(Settings(max_request_bytes=1000, max_images_per_upload=2, max_zip_entries=900), archive)
    assert grown.max_request_bytes > archive.stat().st_size
    assert (grown.max_images_per_upload, grown.max_zip_entries) == (5, 900)


def test_samples_are_three_classes_of_twenty_grey_images_in_either_split(tmp_path: Path) -> None:
    draw_samples(tmp_path / "samples")
    for split in ("train", "validation"):
        classes = {path.name: sorted(path.glob("*.png")) for path in (tmp_path / "samples" / split).iterdir()}
        assert [len(images) for images in classes.values()] == [20, 20, 20]
        with Image.open(next(iter(classes.values()))[0]) as picture:
            assert (picture.size, picture.mode) == ((160, 160), "L")
    pixels = {path.read_bytes() for path in (tmp_path / "samples").glob("*/*/*.png")}
    assert len(pixels) == 120
