"""A zip that is made while it is sent, of a length that is known before: so a download can be gone on with."""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.errors import ArtifactDamaged

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
_LOCAL_HEADER, _DATA_DESCRIPTOR, _DIRECTORY_ENTRY, _DIRECTORY_END = 30, 16, 46, 22
_ZIP64_OFFSET, _ZIP64_END = 12, 56 + 20


@dataclass(frozen=True)
class Member:
    """One file: an ASCII name, its size, and how to get its bytes when its turn comes."""

    name: str
    size_bytes: int
    read: Callable[[], bytes]


def zip_stream(members: Iterable[Member]) -> Iterator[bytes]:
    """The zip's bytes, file by file; PNG does not shrink further, so files are stored as they are.

    Equal members give equal bytes. Raises ``ArtifactDamaged`` where a file's size is another than was said.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            data = member.read()
            if len(data) != member.size_bytes:
                raise ArtifactDamaged(f"{member.name} has {len(data)} bytes, the record says {member.size_bytes}")
            archive.writestr(zipfile.ZipInfo(member.name, _TIMESTAMP), data)
            yield sink.taken()
    yield sink.taken()


def zip_length(members: Sequence[Member]) -> int:
    """How many bytes ``zip_stream`` makes of these members: what ``zipfile`` writes around files that it stores
    unseen, Zip64 where there are many files or bytes."""
    place = directory = 0
    for member in members:
        directory += _DIRECTORY_ENTRY + len(member.name) + (_ZIP64_OFFSET if place > zipfile.ZIP64_LIMIT else 0)
        place += _LOCAL_HEADER + len(member.name) + member.size_bytes + _DATA_DESCRIPTOR
    many = len(members) > zipfile.ZIP_FILECOUNT_LIMIT or max(place, directory) > zipfile.ZIP64_LIMIT
    return place + directory + _DIRECTORY_END + (_ZIP64_END if many else 0)


class _Sink(io.RawIOBase):
    """Takes what zipfile writes; it cannot seek, so zipfile writes sizes behind each file."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: object) -> int:
        """Keep a copy."""
        chunk = bytes(data)  # type: ignore[call-overload]
        self._chunks.append(chunk)
        return len(chunk)

    def taken(self) -> bytes:
        """What was written since the last time."""
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)
