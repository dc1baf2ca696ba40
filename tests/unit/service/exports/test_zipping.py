import io
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.ranges import part
from service.errors import ArtifactDamaged
from service.exports.zipping import Member, zip_length, zip_stream


def members(sizes: Sequence[int]) -> list[Member]:
    def member(number: int, size: int) -> Member:
        return Member(f"pits/{number:06d}.png", size, lambda: bytes([number % 256]) * size)

    return [member(number, size) for number, size in enumerate(sizes)]


def zipped(given: Sequence[Member]) -> bytes:
    return b"".join(zip_stream(given))


@given(st.lists(st.integers(0, 300), max_size=9))
def test_the_length_is_known_before_and_the_bytes_are_always_the_same(sizes: list[int]) -> None:
    made = zipped(members(sizes))
    assert len(made) == zip_length(members(sizes))
    assert made == zipped(members(sizes))
    assert zipfile.ZipFile(io.BytesIO(made)).testzip() is None


@pytest.mark.parametrize(("limit", "value"), [("ZIP64_LIMIT", 2_000), ("ZIP_FILECOUNT_LIMIT", 7)])
def test_the_length_is_known_of_zips_beyond_what_32_bits_hold(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    given = members([500] * 8)
    plain = zip_length(given)
    monkeypatch.setattr(zipfile, limit, value)
    made = zipped(given)
    assert zip_length(given) == len(made) > plain, "with Zip64"
    assert zipfile.ZipFile(io.BytesIO(made)).read("pits/000007.png") == b"\7" * 500


def test_a_file_of_another_size_than_recorded_breaks_the_archive_off() -> None:
    with pytest.raises(ArtifactDamaged, match="has 3 bytes, the record says 4"):
        zipped([Member("pits/000000.png", 4, lambda: b"abc")])


@given(st.lists(st.binary(max_size=9), max_size=6), st.data())
def test_a_part_is_what_lies_there_in_the_whole(chunks: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(chunks)
    first = data.draw(st.integers(0, max(len(whole) - 1, 0)))
    last = data.draw(st.integers(first, max(len(whole) - 1, first)))
    assert b"".join(part(iter(chunks), first, last)) == whole[first : last + 1]


def test_files_behind_the_range_are_not_read() -> None:
    read: list[int] = []

    def member(number: int) -> Member:
        return Member(f"{number}", 10, lambda: read.append(number) or b"x" * 10)  # type: ignore[func-returns-value]

    assert b"".join(part(zip_stream([member(number) for number in range(9)]), 30, 40))
    assert len(read) <= 2
