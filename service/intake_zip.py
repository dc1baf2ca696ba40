"""Read an uploaded zip without trusting it: nothing is unpacked to disk, members are read one by one within bounds."""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, BinaryIO, cast

from service.contracts.datasets import RefusedImage
from service.decoding import HEAD_BYTES, ImageLimits, ImageRefusal, check_beginning, check_bytes
from service.errors import ArchiveUnusable, RequestTooLarge
from service.intake_layout import Placement, class_of_folder, parts_of, place, wrapper_of

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_CLUTTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
_RATIO_COUNTS_FROM_BYTES = 2**20
_ENCRYPTED = 0x1
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)
#: The two that Python expands piece by piece; of LZMA and bzip2 it expands whatever a piece holds, without a bound.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_LOCAL_HEADER_BYTES = 30
#: A member's entry in the directory takes some hundred bytes; zipfile itself looks for the end in the last 64 KiB.
_DIRECTORY_BYTES_AN_ENTRY = 1024
_LEAST_DIRECTORY_BYTES = 2**17
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class ZipLimits:
    """What an archive may hold and expand to, and each of its images."""

    image: ImageLimits
    max_entries: int
    max_expansion_ratio: float
    max_expanded_bytes: int


@dataclass(frozen=True)
class ZipMember:
    """One image of an archive; ``read`` raises ``ImageRefusal`` where its bytes are damaged, or begin as no image."""

    path: str
    placement: Placement
    read: Callable[[], BinaryIO]


@dataclass(frozen=True)
class ZipContents:
    """What an archive offers: members to decode, members refused by name, and every class that has a folder."""

    members: list[ZipMember] = field(default_factory=list)
    refused: list[RefusedImage] = field(default_factory=list)
    class_names: set[str] = field(default_factory=set)


@contextmanager
def opened(stream: BinaryIO, limits: ZipLimits) -> Iterator[ZipContents]:
    """The archive's contents, readable inside the block. Raises ``ArchiveUnusable`` and ``RequestTooLarge``."""
    bounded = _BoundedReads(stream, max(limits.max_entries * _DIRECTORY_BYTES_AN_ENTRY, _LEAST_DIRECTORY_BYTES))
    try:
        archive = zipfile.ZipFile(bounded)
    except _DAMAGED as error:
        raise ArchiveUnusable("the archive is not a zip, or is truncated or damaged", field="archive") from error
    bounded.max_bytes = limits.max_expanded_bytes
    with archive:
        _check_size(archive.infolist(), limits)
        _refuse_overlaps(archive.infolist())
        yield _contents(archive, limits)


class _BoundedReads:
    """A file of which no more is read at once than allowed: zipfile reads a directory whole, before anything can be
    counted, and a directory of 500 MB becomes ten million objects."""

    def __init__(self, stream: BinaryIO, max_bytes: int) -> None:
        self._stream = stream
        self.max_bytes = max_bytes

    def read(self, num_bytes: int = -1) -> bytes:
        """Stock, but raises ``RequestTooLarge``."""
        data = self._stream.read(self.max_bytes + 1 if num_bytes < 0 else min(num_bytes, self.max_bytes + 1))
        if len(data) > self.max_bytes:
            raise RequestTooLarge(
                "the archive's directory is longer than that of the entries that are allowed (max_zip_entries)",
                code="zip_too_many_entries",
                field="archive",
            )
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _check_size(entries: list[zipfile.ZipInfo], limits: ZipLimits) -> None:
    if len(entries) > limits.max_entries:
        raise RequestTooLarge(
            f"the archive has {len(entries)} entries and {limits.max_entries} are allowed (max_zip_entries)",
            code="zip_too_many_entries",
            field="archive",
        )
    expanded = sum(entry.file_size for entry in entries)
    if expanded > limits.max_expanded_bytes:
        raise RequestTooLarge(
            f"the archive expands to {expanded} bytes and {limits.max_expanded_bytes} are allowed "
            "(max_zip_expanded_bytes)",
            code="zip_bomb",
            field="archive",
        )


def _refuse_overlaps(entries: list[zipfile.ZipInfo]) -> None:
    """Members that share their bytes: no tool writes that, and it multiplies what a small file makes of itself."""
    spans = sorted((one.header_offset, one.compress_size + _LOCAL_HEADER_BYTES) for one in entries)
    if any(offset + size > following for (offset, size), (following, _) in pairwise(spans)):
        raise ArchiveUnusable(
            "members of the archive overlap", code="zip_overlap", field="archive", remedy="Make the archive again."
        )


def _contents(archive: zipfile.ZipFile, limits: ZipLimits) -> ZipContents:
    contents = ZipContents()
    safe: list[tuple[zipfile.ZipInfo, tuple[str, ...]]] = []
    for entry in archive.infolist():
        try:
            parts = parts_of(entry.orig_filename)
            if parts and not _is_clutter(parts):
                _check_member(entry, limits)
                safe.append((entry, parts))
        except ImageRefusal as refusal:
            contents.refused.append(refusal.of(entry.orig_filename[:255]))
    wrapper = wrapper_of([parts for entry, parts in safe if not entry.is_dir()])
    for entry, parts in safe:
        _add(contents, archive, entry, parts[1:] if wrapper is not None and parts[0] == wrapper else parts)
    return contents


def _add(contents: ZipContents, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, parts: tuple[str, ...]) -> None:
    try:
        if entry.is_dir():
            contents.class_names.update(filter(None, [class_of_folder(parts)]))
            return
        placement = place(parts)
    except ImageRefusal as refusal:
        contents.refused.append(refusal.of(entry.filename[:255]))
        return
    contents.class_names.add(placement.class_name)
    contents.members.append(ZipMember(entry.filename[:255], placement, lambda: _read(archive, entry)))


def _is_clutter(parts: tuple[str, ...]) -> bool:
    return any(part in _CLUTTER or part.startswith(".") for part in parts)


def _check_member(entry: zipfile.ZipInfo, limits: ZipLimits) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ImageRefusal("not_a_file", "it is a symbolic link or another special file", "Add the file itself.")
    if entry.is_dir():
        return
    if entry.flag_bits & _ENCRYPTED:
        raise ImageRefusal("encrypted", "it is encrypted", "Make the archive without a password.")
    if entry.compress_type not in _METHODS:
        raise ImageRefusal(
            "unsupported_compression", "it is compressed by an unusual method", "Make a zip with the method 'deflate'."
        )
    if entry.filename.lower().endswith(_ARCHIVES):
        raise ImageRefusal("nested_archive", "it is an archive inside the archive", "Unpack it first.")
    check_bytes(entry.file_size, limits.image)
    if entry.file_size > _RATIO_COUNTS_FROM_BYTES and entry.file_size > limits.max_expansion_ratio * max(
        entry.compress_size, 1
    ):
        raise ImageRefusal(
            "zip_bomb",
            f"it expands more than {limits.max_expansion_ratio:g} times",
            "Store images as PNG or JPEG, which do not shrink further.",
        )


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    """The member's bytes, where they begin as an image; never more than it declares, whatever it would expand to."""
    try:
        with cast(zipfile.ZipExtFile, archive.open(entry)) as stream:
            check_beginning(stream.peek(HEAD_BYTES)[:HEAD_BYTES])
            data = _copied(stream, entry.file_size)
    except _DAMAGED as error:
        raise ImageRefusal(
            "damaged_member", "its bytes in the archive are damaged", "Make the archive again."
        ) from error
    if data.tell() != entry.file_size:
        raise ImageRefusal("damaged_member", "its size is not what the archive declares", "Make the archive again.")
    data.seek(0)
    return data


def _copied(stream: zipfile.ZipExtFile, max_bytes: int) -> io.BytesIO:
    """Piece by piece, because at once takes the memory twice; ends beyond ``max_bytes``, or where the stream does."""
    data = io.BytesIO()
    while data.tell() <= max_bytes and (piece := stream.read(_PIECE_BYTES)):
        data.write(piece)
    return data
