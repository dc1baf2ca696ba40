"""Zips that lie: written byte by byte, because every library refuses to write them."""

import random
import struct
import zlib
from dataclasses import dataclass, field

from tests.fakes.pictures import png
from tests.fuzz.pictures import cut, flipped, hostile_image, overwritten, truncated

NAMES = (
    b"pits/a.png",
    b"train/pits/a.png",
    b"../../../../tmp/escaped.png",
    b"/tmp/escaped.png",
    b"pits/../../escaped.png",
    b"..\\..\\escaped.png",
    b"C:\\escaped.png",
    b"C:escaped.png",
    b"\\\\host\\share\\a.png",
    b"pits/a.png\0.exe",
    b"pits/",
    b"",
    b"/",
    b".",
    b"..",
    b"pits//a.png",
    b"./pits/a.png",
    b"pits/" + b"a" * 60_000 + b".png",
    b"a/" * 3_000 + b"a.png",
    "grübchen/ä.png".encode(),
    b"pits/\xff\xfe.png",
    b"pits/\xed\xa0\x80.png",
    b"pits/a.zip",
    b"__MACOSX/._a.png",
    b"pits/CON",
    b"pits/a.png ",
    b"~/pits/a.png",
    b"$(id)/a.png",
    b"%2e%2e/a.png",
    b"PITS/A.PNG",
    b"pits\n/a.png",
)
LIES = (0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


@dataclass
class Member:
    """One file of an archive, and what is claimed of it; None: the truth."""

    name: bytes
    data: bytes
    method: int = 8
    flags: int = 0
    attributes: int = 0
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    extra: bytes = b""


@dataclass
class Archive:
    """Members, and what the end of the archive claims."""

    members: list[Member] = field(default_factory=list)
    prefix: bytes = b""
    num_entries: int | None = None
    directory_bytes: int | None = None
    directory_offset: int | None = None
    comment: bytes = b""
    zip64_end: bytes = b""

    def file(self) -> bytes:
        body, directory = bytearray(self.prefix), b""
        for one in self.members:
            packed = _packed(one)
            offset = len(body) if one.offset is None else one.offset
            crc = zlib.crc32(one.data) if one.crc is None else one.crc
            sizes = (
                len(packed) if one.packed_size is None else one.packed_size,
                len(one.data) if one.size is None else one.size,
            )
            shared = struct.pack("<HHHHHIII", 20, one.flags, one.method, 0, 0x21, crc, *sizes)
            local = one.name if one.local_name is None else one.local_name
            body += b"PK\3\4" + shared + struct.pack("<HH", len(local) & 0xFFFF, 0) + local + packed
            lengths = struct.pack("<HHHHHII", len(one.name) & 0xFFFF, len(one.extra), 0, 0, 0, one.attributes, offset)
            directory += b"PK\1\2" + struct.pack("<H", 0x314) + shared + lengths + one.name + one.extra
        count = len(self.members) if self.num_entries is None else self.num_entries
        size = len(directory) if self.directory_bytes is None else self.directory_bytes
        place = len(body) if self.directory_offset is None else self.directory_offset
        end = struct.pack("<HHHHIIH", 0, 0, count & 0xFFFF, count & 0xFFFF, size, place, len(self.comment))
        return bytes(body) + directory + self.zip64_end + b"PK\5\6" + end + self.comment


def _packed(one: Member) -> bytes:
    if one.method != 8:
        return one.data
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(one.data) + packer.flush()


def _member(draw: random.Random) -> Member:
    name = draw.choice(NAMES) if draw.random() < 0.5 else b"pits/%d.png" % draw.randrange(5)
    data = hostile_image(draw)[2] if draw.random() < 0.3 else png(draw.randrange(20))
    return Member(name, data)


def lying_sizes(draw: random.Random) -> Archive:
    member = _member(draw)
    member.size, member.packed_size = draw.choice((*LIES, None)), draw.choice((*LIES, None))
    zip64 = struct.pack("<HHQQQ", 1, 24, *(draw.choice((0, 2**31, 2**63, 2**64 - 1)) for _ in range(3)))
    member.extra = draw.choice((b"", zip64, zip64[: draw.randrange(28)], struct.pack("<HH", 1, 0xFFFF)))
    return Archive([_member(draw), member])


def lying_members(draw: random.Random) -> Archive:
    member = _member(draw)
    member.flags = draw.choice((0, 1, 8, 0x20, 0x40, 0x800, 0xFFFF))
    member.method = draw.choice((0, 8, 9, 12, 14, 93, 95, 99))
    member.attributes = draw.choice((0o120777, 0o020666, 0o010644, 0o060660, 0o140777, 0o040755, 0o104755)) << 16
    member.crc = draw.choice((None, 0))
    member.local_name = draw.choice((None, b"pits/other.png", b"../up.png"))
    return Archive([_member(draw), member])


def overlapping(draw: random.Random) -> Archive:
    """Many names for the same bytes: what a small file can make of itself is more than any ratio says."""
    first = _member(draw)
    rest = [
        Member(b"pits/%d.png" % number, first.data, offset=draw.choice((0, 0, 7)))
        for number in range(draw.randint(1, 40))
    ]
    for one in rest:
        one.local_name = first.name
    return Archive([first, *rest])


def lying_end(draw: random.Random) -> Archive:
    archive = Archive([_member(draw) for _ in range(3)])
    archive.num_entries = draw.choice((None, *LIES))
    archive.directory_bytes = draw.choice((None, *LIES))
    archive.directory_offset = draw.choice((None, *LIES))
    archive.comment = draw.choice((b"", b"PK\5\6" + bytes(18), b"x" * 70_000))[:0xFFFF]
    numbers = [draw.choice((0, 1, 2**32, 2**63, 2**64 - 1)) for _ in range(4)]
    end = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, *numbers)
    archive.zip64_end = draw.choice((b"", end + b"PK\6\7" + struct.pack("<IQI", 0, draw.choice((0, 2**63, 100)), 1)))
    return archive


def many_entries(draw: random.Random) -> Archive:
    number = draw.choice((49, 2_000, 9_999, 10_001, 30_000))
    return Archive([Member(b"pits/%d.png" % index, b"", method=0) for index in range(number)])


def bombs(draw: random.Random) -> Archive:
    number = draw.choice((1_000_000, 3_000_000, 25_000_000, 60_000_000))
    beginning = draw.choice((b"", png(3)[:60], b"BM", b"II*\0\x08\0\0\0", b"\xff\xd8\xff\xe0"))
    zeros = draw.choice((bytes(number), beginning + (draw.randbytes(400) + bytes(2**16)) * (number // 2**16)))
    inner = Archive([Member(b"pits/a.png", zeros)]).file()
    return Archive(
        [
            _member(draw),
            draw.choice(
                (Member(b"pits/zeros.png", zeros), Member(b"pits/inner.zip", inner), Member(b"pits/inner.png", inner))
            ),
        ]
    )


def strange_names(draw: random.Random) -> Archive:
    members = [_member(draw) for _ in range(draw.randint(1, 12))]
    for one in members:
        one.flags = draw.choice((0, 0x800))
    return Archive(members, prefix=draw.choice((b"", png(3), b"#!/bin/sh\n", b"%PDF-1.7\n")))


KINDS = (lying_sizes, lying_members, overlapping, lying_end, strange_names, strange_names, lying_sizes)


def hostile_archive(draw: random.Random) -> tuple[str, bytes]:
    """(the trick's name, the zip)."""
    trick = draw.choice((bombs, many_entries)) if draw.random() < 0.05 else draw.choice(KINDS)
    data = trick(draw).file()
    if draw.random() < 0.3:
        data = draw.choice((flipped, truncated, overwritten, cut))(draw, data)
    return trick.__name__, data
