"""What a zip must not be able to do before anything in it is decoded."""

import io
import tracemalloc
import zipfile
from contextlib import AbstractContextManager

import pytest

from service.decoding import ImageLimits, ImageRefusal
from service.errors import ArchiveUnusable, RequestTooLarge
from service.intake_zip import ZipContents, ZipLimits, opened
from tests.fakes.pictures import png, zipped
from tests.fuzz.archives import Archive, Member

IMAGE = ImageLimits(max_bytes=1_000_000, max_pixels=1_000_000, max_side_px=2_000, min_side_px=8)
LIMITS = ZipLimits(IMAGE, max_entries=100, max_expansion_ratio=200.0, max_expanded_bytes=50_000_000)


def contents_open(data: bytes) -> AbstractContextManager[ZipContents]:
    return opened(io.BytesIO(data), LIMITS)


def contents(data: bytes) -> ZipContents:
    with contents_open(data) as found:
        return found


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_methods_that_python_expands_without_a_bound_are_refused_by_name(method: int) -> None:
    found = contents(zipped({"pits/a.png": bytes(900_000)}, method))
    assert [one.code for one in found.refused] == ["unsupported_compression"]
    assert found.members == []


def test_what_does_not_begin_as_an_image_is_refused_before_it_is_expanded() -> None:
    zeros = contents_open(zipped({"pits/a.png": bytes(900_000)}))
    with zeros as found, pytest.raises(ImageRefusal) as refused:
        tracemalloc.start()
        found.members[0].read()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.code == "not_an_image"
    assert peak_bytes < 100_000


def test_a_member_above_the_bytes_of_an_image_is_refused_by_what_it_declares() -> None:
    found = contents(zipped({"pits/a.png": png(1) + bytes(1_000_000), "pits/b.png": png(2)}))
    assert [(one.code, one.filename) for one in found.refused] == [("file_too_large", "pits/a.png")]
    assert "max_image_bytes" in found.refused[0].reason
    assert [one.path for one in found.members] == ["pits/b.png"]


def test_members_that_share_their_bytes_are_refused_whatever_they_are_called() -> None:
    first = Member(b"pits/a.png", png(1))
    again = [Member(b"pits/%d.png" % number, b"", offset=0, local_name=b"") for number in range(3)]
    for one in again:
        one.size, one.packed_size = len(first.data), 900
    with pytest.raises(ArchiveUnusable) as refused:
        contents(Archive([first, *again]).file())
    assert refused.value.code == "zip_overlap"


def test_a_directory_of_half_a_million_entries_is_refused_before_it_is_parsed() -> None:
    entry = Archive([Member(b"a", b"", method=0)]).file()
    begin, end = entry.index(b"PK\1\2"), entry.index(b"PK\5\6")
    directory = entry[begin:end] * 500_000
    archive = (
        entry[:begin] + directory + entry[end : end + 12] + len(directory).to_bytes(4, "little") + entry[end + 16 :]
    )
    assert len(zipfile.ZipFile(io.BytesIO(archive)).infolist()) == 500_000
    tracemalloc.start()
    with pytest.raises(RequestTooLarge) as refused:
        contents(archive)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.code == "zip_too_many_entries"
    assert peak_bytes < 2_000_000


def test_a_long_archive_of_few_members_is_read() -> None:
    found = contents(
        zipped({f"pits/{number}.png": bytes([number]) * 300_000 for number in range(90)}, zipfile.ZIP_STORED)
    )
    assert len(found.members) == 90
