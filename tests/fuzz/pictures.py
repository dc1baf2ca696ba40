"""Images in every accepted format, full of metadata, and seeded ways to damage them."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.fakes.pictures import encoded, noise

#: Stands in every kind of metadata; it must never be found in what is kept.
SECRET = b"SECRET-LINE-7"
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def originals() -> tuple[tuple[str, bytes], ...]:
    """(suffix, file) of images that are accepted as they are."""
    exif, text, secret = _exif(), PngInfo(), SECRET.decode()
    text.add_text("Comment", secret)
    text.add_text("Compressed", secret, zip=True)
    text.add_itxt("XML:com.adobe.xmp", secret)
    told: dict[str, object] = {"exif": exif, "icc_profile": SECRET}
    pngs = [
        encoded(noise(seed, (40, 36), mode), "PNG", pnginfo=text, **told)
        for seed, mode in enumerate(("L", "RGB", "RGBA", "LA", "P", "1", "CMYK"))
        if mode != "CMYK"
    ]
    jpegs = [
        encoded(noise(seed, (40, 36), mode), "JPEG", comment=secret, progressive=mode == "RGB", **told)
        for seed, mode in enumerate(("L", "RGB", "CMYK"))
    ]
    tags = {270: secret, 305: secret, 315: secret, 700: SECRET}
    tiffs = [
        encoded(noise(seed, (40, 36), mode), "TIFF", compression=compression, tiffinfo=tags, **told)
        for seed, (mode, compression) in enumerate(
            [
                ("L", None),
                ("RGB", "tiff_lzw"),
                ("L", "packbits"),
                ("RGB", "jpeg"),
                ("1", "group4"),
                ("CMYK", "tiff_deflate"),
            ]
        )
    ]
    webps = [encoded(noise(seed, (40, 36), "RGB"), "WEBP", lossless=bool(seed), xmp=SECRET, **told) for seed in (0, 1)]
    deep = Image.frombytes("I;16", (40, 36), random.Random(0).randbytes(40 * 36 * 2))
    bmps = [encoded(noise(seed, (40, 36), mode), "BMP") for seed, mode in enumerate(("L", "RGB", "1", "P"))]
    found = {
        "png": [*pngs, encoded(deep, "PNG")],
        "jpg": jpegs,
        "tif": [*tiffs, encoded(deep, "TIFF")],
        "webp": webps,
        "bmp": bmps,
    }
    return tuple((suffix, data) for suffix, files in found.items() for data in files)


def _exif() -> bytes:
    """Orientation, a maker's name, a position and a thumbnail, as cameras write them."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, SECRET.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 29: SECRET.decode()})
    return exif.tobytes() + SECRET


def flipped(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def truncated(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(len(data))]


def overwritten(draw: random.Random, data: bytes) -> bytes:
    """A number that somebody did not expect, mostly in the header."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(min(len(changed), draw.choice((64, 400, len(changed)))))
        width = draw.choice("BHI")
        number = struct.pack(draw.choice("<>") + width, draw.choice(_NUMBERS) & (256 ** struct.calcsize(width) - 1))
        changed[place : place + len(number)] = number
    return bytes(changed)


def cut(draw: random.Random, data: bytes) -> bytes:
    """A piece taken out, doubled, or moved elsewhere."""
    begin = draw.randrange(len(data))
    end = min(len(data), begin + draw.randint(1, 200))
    piece, place = data[begin:end], draw.randrange(len(data))
    return draw.choice(
        (
            data[:begin] + data[end:],
            data[:end] + piece * draw.randint(1, 40) + data[end:],
            data[:place] + piece + data[place:],
        )
    )


def spliced(draw: random.Random, data: bytes) -> bytes:
    """Half of one file and half of another, or one behind the other."""
    _, other = draw.choice(originals())
    return (
        data + other if draw.random() < 0.5 else data[: draw.randrange(len(data))] + other[draw.randrange(len(other)) :]
    )


def polyglot(draw: random.Random, data: bytes) -> bytes:
    """Something else before or behind the image."""
    page = b"<html><script>alert(1)</script></html>"
    foreign = draw.choice(
        (b"%PDF-1.7\n", b"GIF89a\x01\x00\x01\x00", b"PK\x03\x04", b"#!/bin/sh\n", b"\x7fELF", page, b"8BPS")
    )
    return foreign + data if draw.random() < 0.3 else data + foreign


def chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    """A chunk of a PNG; ``length`` is what it claims."""
    return (
        struct.pack(">I", len(body) if length is None else length)
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body))
    )


def redrawn(draw: random.Random, data: bytes) -> bytes:
    """A PNG whose chunks are moved, doubled, dropped or lied about, every checksum right."""
    if not data.startswith(b"\x89PNG"):
        return overwritten(draw, data)
    chunks, place = [], 8
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    match draw.randrange(6):
        case 0:
            draw.shuffle(chunks)
        case 1:
            chunks.insert(draw.randrange(len(chunks)), draw.choice(chunks))
        case 2:
            chunks.pop(draw.randrange(len(chunks)))
        case 3:
            size = [draw.choice((0, 1, 15, 16, 40, 2_000, 2_001, 60_000, 2**31 - 1)) for _ in range(2)]
            kind = bytes(
                [draw.choice((1, 2, 4, 8, 16, 3)), draw.choice((0, 2, 3, 4, 6, 1)), 0, 0, draw.choice((0, 1, 2))]
            )
            chunks[0] = (b"IHDR", struct.pack(">II", *size) + kind)
        case 4:
            bomb = zlib.compress(bytes(30_000_000))
            chunks[1:1] = [
                draw.choice(((b"zTXt", b"k\0\0" + bomb), (b"iCCP", b"k\0\0" + bomb), (b"iTXt", b"k\0\1\0\0\0" + bomb)))
            ]
        case _:
            frames = struct.pack(">II", draw.choice((0, 1, 2, 2**31)), 0)
            chunks[1:1] = [(b"acTL", frames), (b"fcTL", struct.pack(">IIIIIHHBB", 0, 40, 36, 0, 0, 1, 1, 0, 0))]
    return data[:8] + b"".join(chunk(*one) for one in chunks)


def empty_png(draw: random.Random, data: bytes) -> bytes:
    """A bomb: some kilobytes that declare, and hold, a very large picture of nothing."""
    side = draw.choice((2_000, 6_000, 8_192, 8_193, 17_000))
    depth, colour, row_bytes = draw.choice(
        ((1, 0, side // 8 + 1), (8, 0, side), (16, 0, 2 * side), (8, 2, 3 * side), (8, 6, 4 * side))
    )
    header = struct.pack(">II", side, side) + bytes([depth, colour, 0, 0, 0])
    rows = zlib.compressobj(1)
    number = 10 if side > 8_192 else draw.choice((10, side))
    body = b"".join([rows.compress(bytes(row_bytes + 1)) for _ in range(number)] + [rows.flush()])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def many_scans(draw: random.Random, data: bytes) -> bytes:
    """A progressive JPEG whose scans come again and again, each of which decoders go through in full."""
    image = encoded(noise(1, (400, 400), "RGB"), "JPEG", progressive=True)
    begin, end = image.index(b"\xff\xda"), image.rindex(b"\xff\xd9")
    return image[:end] + image[begin:end] * draw.randint(1, 30) + image[end:]


def relinked(draw: random.Random, data: bytes) -> bytes:
    """A TIFF whose directory points at itself, whose tags change type, count or value."""
    if data[:2] != b"II":
        return cut(draw, data)
    changed = bytearray(data)
    (directory,) = struct.unpack_from("<I", changed, 4)
    if directory + 2 > len(changed):
        return data
    (number,) = struct.unpack_from("<H", changed, directory)
    entry = directory + 2 + 12 * draw.randrange(max(1, number))
    place, value = draw.choice(
        (
            (entry + 2, struct.pack("<H", draw.randrange(20))),
            (entry + 4, struct.pack("<I", draw.choice(_NUMBERS))),
            (entry + 8, struct.pack("<I", draw.choice((*_NUMBERS, directory)))),
            (entry, struct.pack("<H", draw.randrange(254, 350))),
            (directory + 2 + 12 * number, struct.pack("<I", directory)),
        )
    )
    changed[place : place + len(value)] = value
    return bytes(changed)


def untouched(draw: random.Random, data: bytes) -> bytes:
    return data


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flipped,
    truncated,
    overwritten,
    overwritten,
    cut,
    spliced,
    polyglot,
    redrawn,
    redrawn,
    relinked,
    relinked,
    untouched,
)
RARE: tuple[Callable[[random.Random, bytes], bytes], ...] = (empty_png, many_scans)


def hostile_image(draw: random.Random) -> tuple[str, str, bytes]:
    """(the mutation's name, a filename, the file)."""
    suffix, data = draw.choice(originals())
    mutate = draw.choice(RARE) if draw.random() < 0.02 else draw.choice(MUTATIONS)
    changed = mutate(draw, data)
    if changed and draw.random() < 0.2:
        changed = draw.choice((flipped, overwritten))(draw, changed)
    return mutate.__name__, f"image.{draw.choice((suffix, 'png', 'jpg', 'exe'))}", changed


def opens_as(data: bytes) -> Image.Image:
    """A stored file, read by nothing but Pillow's PNG reader."""
    image = Image.open(io.BytesIO(data), formats=("PNG",))
    image.load()
    return image
