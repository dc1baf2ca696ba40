import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.settings import Settings
from tests.contract.conftest import World, opened
from tests.fakes.pictures import encoded, noise, png, zipped

GIF = encoded(noise(1), "GIF")


def upload(world: World, files: dict[str, bytes], **fields: Any) -> Any:
    return world.client.post("/v1/datasets", files=[("images", item) for item in files.items()], data=fields)


def upload_zip(world: World, archive: bytes) -> Any:
    return world.client.post("/v1/datasets", files={"archive": ("set.zip", archive)})


def refused_codes(answer: Any) -> dict[str, str]:
    return {one["filename"]: one["code"] for one in answer.json()["refused"]}


def warning_codes(answer: Any) -> set[str]:
    return {one["code"] for one in answer.json()["warnings"]}


def kept_image(world: World, answer: Any, index: int = 0) -> Image.Image:
    listed = world.client.get(answer.json()["links"]["images"]).json()["items"]
    return Image.open(io.BytesIO(world.client.get(listed[index]["links"]["content"]).content))


def animated() -> bytes:
    return encoded(noise(1), "WEBP", save_all=True, append_images=[noise(2)], lossless=True)


def multi_page() -> bytes:
    return encoded(noise(1), "TIFF", save_all=True, append_images=[noise(2)])


BAD_FILES = [
    ("not an image at all", b"hello, this is a text" * 20, "not_an_image"),
    ("an empty file", b"", "empty_file"),
    ("a truncated PNG", png(1, (64, 64))[:900], "truncated"),
    ("a truncated JPEG", encoded(noise(1, (64, 64)), "JPEG")[:-700], "truncated"),
    ("one pixel", png(1, (1, 1)), "too_small"),
    ("20,000 px wide", encoded(Image.new("1", (20_000, 20))), "too_large"),
    ("too many pixels", encoded(Image.new("1", (3_000, 3_000))), "too_large"),
    ("a GIF", GIF, "unsupported_format"),
    ("an animated WEBP", animated(), "animated"),
    ("a TIFF of two pages", multi_page(), "animated"),
    ("a TIFF of floats", encoded(Image.new("F", (32, 32)), "TIFF"), "unsupported_mode"),
]


@pytest.mark.parametrize(("data", "code"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_a_bad_file_is_refused_with_its_reason_and_the_good_one_is_kept(world: World, data: bytes, code: str) -> None:
    answer = upload(world, {"pits/good.png": png(5), "pits/bad.png": data})
    assert answer.status_code == 201
    assert answer.json()["accepted"] == 1
    (refused,) = answer.json()["refused"]
    assert refused["filename"] == "pits/bad.png"
    assert refused["code"] == code
    assert refused["reason"]
    assert refused["remedy"]
    assert answer.json()["classes"] == {"pits": {"train": 1, "validation": 0, "test": 0}}


def test_an_upload_without_an_acceptable_image_is_a_422_that_lists_each(world: World) -> None:
    answer = upload(world, {"pits/a.png": b"x", "pits/b.png": b""})
    assert answer.status_code == 422
    assert answer.json()["code"] == "no_acceptable_images"
    assert refused_codes(answer) == {"pits/a.png": "not_an_image", "pits/b.png": "empty_file"}
    assert world.client.get("/v1/datasets").json()["items"] == []


def test_a_wrong_extension_is_decided_by_content_with_a_warning(world: World) -> None:
    answer = upload(world, {"pits/photo.png": encoded(noise(1), "JPEG")})
    assert answer.json()["accepted"] == 1
    assert "wrong_extension" in warning_codes(answer)


def test_an_exif_rotated_image_is_turned_upright(world: World) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = upload(world, {"pits/turned.jpg": encoded(noise(1, (48, 32)), "JPEG", exif=exif.tobytes())})
    assert kept_image(world, answer).size == (32, 48)
    assert "converted" in warning_codes(answer)


def test_sixteen_bit_grey_is_scaled_over_its_full_range(world: World) -> None:
    values = np.linspace(0, 65_535, 32 * 32).astype(np.uint16).reshape(32, 32)
    answer = upload(world, {"pits/deep.png": encoded(Image.fromarray(values))})
    kept = kept_image(world, answer)
    assert kept.mode == "L"
    expected = np.round(values.astype(np.float64) * 255 / 65_535)
    assert np.abs(np.asarray(kept).astype(np.float64) - expected).max() <= 1
    assert "converted" in warning_codes(answer)


def test_cmyk_palette_and_alpha_become_rgb_without_metadata(world: World) -> None:
    translucent = Image.new("RGBA", (32, 32), (200, 10, 10, 0))
    palette = noise(2, mode="RGB").quantize(16)
    files = {
        "pits/a.jpg": encoded(noise(1, mode="RGB").convert("CMYK"), "JPEG"),
        "pits/b.png": encoded(palette, transparency=0),
        "pits/c.png": encoded(translucent, dpi=(300, 300)),
    }
    answer = upload(world, files)
    kept = [kept_image(world, answer, index) for index in range(3)]
    assert {image.mode for image in kept} == {"RGB"}
    assert all(not image.info for image in kept)
    assert (200, 10, 10) in {image.getpixel((0, 0)) for image in kept}


def test_grey_stays_grey_and_grey_with_alpha_becomes_grey(world: World) -> None:
    answer = upload(world, {"pits/a.png": png(1), "pits/b.png": encoded(noise(2).convert("LA"))})
    assert {kept_image(world, answer, index).mode for index in range(2)} == {"L"}


def test_one_image_only_is_kept_with_a_warning(world: World) -> None:
    assert "one_image" in warning_codes(upload(world, {"pits/a.png": png(1)}))


def test_a_class_without_a_train_image_is_told_that_it_cannot_be_adapted(world: World) -> None:
    answer = upload(world, {"test/pits/a.png": png(1), "test/pits/b.png": png(2)})
    assert [one["message"] for one in answer.json()["warnings"]] == [
        "no train images: the class can be kept, but to be adapted it needs 4"
    ]


def test_a_photo_with_a_preview_in_it_is_one_image(world: World) -> None:
    photo = encoded(noise(1, (64, 64)).convert("RGB"), "MPO", save_all=True, append_images=[noise(2).convert("RGB")])
    answer = upload(world, {"pits/a.jpg": photo, "pits/b.png": png(1)})
    assert (answer.json()["accepted"], answer.json()["refused"]) == (2, [])
    assert "wrong_extension" not in warning_codes(answer)


def test_duplicates_stay_in_one_split_with_a_warning(world: World) -> None:
    files = [("images", (f"pits/{index}.png", data)) for index, data in enumerate([png(1), png(2), png(1)])]
    answer = world.client.post("/v1/datasets", files=files, data={"splits": ["train", "train", "test"]})
    assert answer.json()["classes"]["pits"] == {"train": 3, "validation": 0, "test": 0}
    assert {"exact_duplicates", "duplicate_moved"} <= warning_codes(answer)


def test_the_same_pixels_in_two_classes_are_named(world: World) -> None:
    answer = upload(world, {"pits/a.png": png(1), "pits/c.png": png(2), "scale/b.png": png(1), "scale/d.png": png(2)})
    told = [one["message"] for one in answer.json()["warnings"] if one["code"] == "same_pixels_in_two_classes"]
    assert told == [
        "2 pictures have different labels (pits, scale): pits/a.png = scale/b.png, pits/c.png = scale/d.png"
    ]


def test_mixed_sizes_and_modes_are_named(world: World) -> None:
    answer = upload(world, {"pits/a.png": png(1), "pits/b.png": png(2, (40, 40), "RGB")})
    assert {"mixed_sizes", "mixed_modes"} <= warning_codes(answer)


def test_a_group_in_two_splits_is_refused_by_name(world: World) -> None:
    files = [("images", (f"pits/{index}.png", png(index))) for index in range(2)]
    fields = {"splits": ["train", "test"], "groups": ["coil 7", "coil 7"]}
    answer = world.client.post("/v1/datasets", files=files, data=fields)
    assert answer.status_code == 422
    assert answer.json()["code"] == "group_straddles_splits"
    assert "coil 7" in answer.json()["detail"]


def test_an_image_without_a_split_follows_its_group(world: World) -> None:
    files = [("images", (f"pits/{index}.png", png(index))) for index in range(3)]
    fields = {"splits": ["", "test", ""], "groups": ["coil 7", "coil 7", ""]}
    answer = world.client.post("/v1/datasets", files=files, data=fields)
    assert answer.json()["classes"]["pits"] == {"train": 1, "validation": 0, "test": 2}


def test_classes_may_be_given_beside_the_files(world: World) -> None:
    files = [("images", (f"{index}.png", png(index))) for index in range(2)]
    answer = world.client.post("/v1/datasets", files=files, data={"classes": ["pits", "scale"], "name": "line 3"})
    assert set(answer.json()["classes"]) == {"pits", "scale"}
    assert answer.json()["name"] == "line 3"


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"classes": ["pits"]}, "classes"), ({"splits": ["exam", ""]}, "splits"), ({"colour": "red"}, "colour")],
)
def test_a_wrong_form_names_its_field(world: World, fields: dict[str, Any], field: str) -> None:
    answer = upload(world, {"pits/a.png": png(1), "pits/b.png": png(2)}, **fields)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_file_without_a_class_is_refused_and_the_others_are_kept(world: World) -> None:
    answer = upload(world, {"a.png": png(1), "pits/b.png": png(2), "../pits/c.png": png(3), "-x/d.png": png(4)})
    assert answer.json()["accepted"] == 1
    assert refused_codes(answer) == {"a.png": "layout", "../pits/c.png": "unsafe_path", "-x/d.png": "class_name"}


def test_a_zip_is_read_by_class_and_split_and_a_wrapper_folder_is_tolerated(world: World) -> None:
    members = {
        "set/train/pits/a.png": png(1),
        "set/test/pits/b.png": png(2),
        "set/scale/c.png": png(3),
        "set/empty/": b"",
        "set/.DS_Store": b"x",
        "__MACOSX/set/._a.png": b"x",
    }
    answer = upload_zip(world, zipped(members))
    assert answer.status_code == 201
    assert answer.json()["classes"] == {
        "pits": {"train": 1, "validation": 0, "test": 1},
        "scale": {"train": 1, "validation": 0, "test": 0},
    }
    assert answer.json()["refused"] == []
    assert "empty_class" in warning_codes(answer)


def test_the_folders_of_splits_that_archivers_write_down_are_not_classes(world: World, tmp_path: Path) -> None:
    for folder, number in (("train", 1), ("train", 2), ("validation", 3)):
        (tmp_path / folder / "pits").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "pits" / f"{number}.png").write_bytes(png(number))
    (tmp_path / "train" / "scale").mkdir()
    archive = tmp_path / "set.zip"
    zipfile.main(["-c", str(archive), str(tmp_path / "train"), str(tmp_path / "validation")])
    assert "train/" in zipfile.ZipFile(archive).namelist()
    answer = upload_zip(world, archive.read_bytes())
    empty = [one["class_name"] for one in answer.json()["warnings"] if one["code"] == "empty_class"]
    assert empty == ["scale"]


def test_dangerous_members_of_a_zip_are_refused_one_by_one(world: World) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pits/good.png", png(1))
        archive.writestr("../pits/up.png", png(2))
        archive.writestr("/pits/absolute.png", png(3))
        archive.writestr("pits/nested.zip", zipped({"a.png": png(4)}))
        archive.writestr("pits/bomb.png", b"\0" * 3_000_000)
        archive.writestr("a/b/c/deep.png", png(5))
        link = zipfile.ZipInfo("pits/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    answer = upload_zip(world, stream.getvalue())
    assert answer.json()["accepted"] == 1
    assert refused_codes(answer) == {
        "../pits/up.png": "unsafe_path",
        "/pits/absolute.png": "unsafe_path",
        "pits/nested.zip": "nested_archive",
        "pits/bomb.png": "zip_bomb",
        "a/b/c/deep.png": "layout",
        "pits/link.png": "not_a_file",
    }


def test_an_encrypted_member_is_refused(world: World) -> None:
    data = bytearray(zipped({"pits/a.png": png(1), "pits/b.png": png(2)}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    answer = upload_zip(world, bytes(data))
    assert answer.json()["accepted"] == 1
    assert refused_codes(answer) == {"pits/a.png": "encrypted"}


def test_a_damaged_member_is_refused_and_the_others_are_kept(world: World) -> None:
    data = bytearray(zipped({"pits/a.png": png(1), "pits/b.png": png(2)}, zipfile.ZIP_STORED))
    data[200] ^= 0xFF
    answer = upload_zip(world, bytes(data))
    assert answer.json()["accepted"] == 1
    assert refused_codes(answer) == {"pits/a.png": "damaged_member"}


@pytest.mark.parametrize(
    ("archive", "status", "code"),
    [
        (b"not a zip", 422, "archive_unusable"),
        (zipped({"pits/a.png": png(1)})[:-30], 422, "archive_unusable"),
        (zipped({f"pits/{index}.png": b"" for index in range(60)}), 413, "zip_too_many_entries"),
        (zipped({"pits/a.png": b"\0" * 21_000_000}), 413, "zip_bomb"),
        (zipped({"pits/": b""}), 422, "archive_unusable"),
    ],
    ids=["not a zip", "truncated", "too many entries", "expands too far", "an empty class"],
)
def test_an_unusable_zip_is_refused_as_a_whole(world: World, archive: bytes, status: int, code: str) -> None:
    answer = upload_zip(world, archive)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (status, code, "archive")


def test_too_many_files_are_a_413_that_proposes_a_zip(world: World) -> None:
    answer = upload(world, {f"pits/{index}.png": png(1) for index in range(41)})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_files")
    assert "zip" in answer.json()["remedy"]


def test_a_body_above_the_limit_is_a_413_declared_or_streamed(world: World) -> None:
    declared = upload(world, {"pits/a.png": b"x" * 4_100_000})
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    streamed = world.client.post("/v1/datasets", content=(b"x" * 500_000 for _ in range(9)), headers=headers)
    json_body = world.client.post("/v1/adaptations", content=(b" " * 6_000 for _ in range(2)))
    for answer in (declared, streamed, json_body):
        assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


def test_a_body_that_is_not_multipart_is_a_415(world: World) -> None:
    answer = world.client.post("/v1/datasets", json={"name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")


def test_replacing_a_class_makes_a_version_and_leaves_the_old_one_as_it_was(world: World) -> None:
    before = world.dataset({"pits": 5, "scale": 4})
    path = f"/v1/datasets/{before['id']}/classes/pits/images"
    answer = world.client.put(path, files=[("images", ("new.png", png(77)))], data={"splits": ["test"]})
    assert answer.status_code == 200
    assert answer.json()["version"]["number"] == 2
    assert answer.json()["classes"]["pits"] == {"train": 0, "validation": 0, "test": 1}
    assert answer.json()["classes"]["scale"]["train"] == 4
    assert world.client.get(before["links"]["self"]).json()["classes"]["pits"]["train"] == 5
    assert (
        world.client.put("/v1/datasets/ds_0/classes/pits/images", files=[("images", ("a.png", png(1)))]).status_code
        == 404
    )


def test_a_file_above_the_bytes_of_an_image_is_refused_and_the_others_are_kept(settings: Settings) -> None:
    with opened(settings.model_copy(update={"max_image_bytes": 2_000})) as world, world.client:
        files = {"pits/a.png": png(1), "pits/b.png": png(2, (64, 64))}
        for answer in (upload(world, files), upload_zip(world, zipped(files))):
            assert answer.json()["accepted"] == 1
            assert refused_codes(answer) == {"pits/b.png": "file_too_large"}
            assert "max_image_bytes" in answer.json()["refused"][0]["reason"]


def test_from_the_image_that_exceeds_an_upload_s_pixels_on_all_are_refused_by_name(settings: Settings) -> None:
    with opened(settings.model_copy(update={"max_upload_pixels": 3 * 32 * 32})) as world, world.client:
        files = {f"pits/{number}.png": png(number) for number in range(5)}
        for answer in (upload(world, files), upload_zip(world, zipped(files))):
            assert answer.json()["accepted"] == 3
            assert refused_codes(answer) == {f"pits/{number}.png": "upload_too_costly" for number in (3, 4)}
            assert all("max_upload_pixels" in one["reason"] for one in answer.json()["refused"])


def test_a_full_disk_is_a_507_and_nothing_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.store.artifacts.os.fsync", no_room)
    answer = upload(world, {"pits/a.png": png(1)})
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert answer.json()["remedy"]
    assert list(world.artifacts.stored()) == []
    assert world.client.get("/v1/datasets").json()["items"] == []
