"""What a zip must not be able to do before anything in it is decoded."""

import io
import tracemalloc
import zipfile

import pytest

from service.errors import ArchiveUnusable, RequestTooLarge
from service.intake_zip import ZipContents, ZipLimits, opened
from tests.fakes.pictures import png, zipped
from tests.fuzz.archives import Archive, Member

LIMITS = ZipLimits(max_entries=100, max_expansion_ratio=200.0, max_expanded_bytes=50_000_000)


def contents(data: bytes) -> ZipContents:
    with opened(io.BytesIO(data), LIMITS) as found:
        return found


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_methods_that_python_expands_without_a_bound_are_refused_by_name(method: int) -> None:
    found = contents(zipped({"pits/a.png": bytes(900_000)}, method))
    assert [one.code for one in found.refused] == ["unsupported_compression"]
    assert found.members == []


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
