"""What a small file must not be able to cost."""

import io
import struct
import time

import pytest
from PIL import Image

from service.decoding import DecodedImage, ImageLimits, ImageRefusal, decode
from tests.fakes.pictures import encoded, noise, png

LIMITS = ImageLimits(max_bytes=10_000_000, max_pixels=1_000_000, max_side_px=2_000, min_side_px=8)


def decoded(data: bytes, name: str = "a.png") -> DecodedImage:
    return decode(io.BytesIO(data), name, LIMITS)


def test_pixels_are_asked_for_before_they_are_decoded() -> None:
    asked: list[int] = []

    def refuse(num_pixels: int) -> None:
        asked.append(num_pixels)
        raise ImageRefusal("no", "no", "no")

    damaged = png(1, (64, 32))[:-200]
    with pytest.raises(ImageRefusal) as refused:
        decode(io.BytesIO(encoded(noise(1, (64, 32)), "BMP")[:-200]), "a.bmp", LIMITS, refuse)
    assert (asked, refused.value.code) == ([2048], "no")
    with pytest.raises(ImageRefusal) as refused:
        decoded(damaged)
    assert refused.value.code == "truncated"


def test_a_progressive_jpeg_of_ten_thousand_empty_scans_is_refused_and_a_common_one_is_not() -> None:
    image = encoded(noise(1, (400, 400), "RGB"), "JPEG", progressive=True)
    assert decoded(image, "a.jpg").mode == "RGB"
    begin, end = image.rindex(b"\xff\xda"), image.rindex(b"\xff\xd9")
    with pytest.raises(ImageRefusal) as refused:
        decoded(image[:end] + image[begin:end] * 100 + image[end:], "a.jpg")
    assert refused.value.code == "too_many_scans"


def test_a_tiff_of_a_hundred_thousand_empty_pages_is_refused_at_once() -> None:
    whole = bytearray(encoded(noise(1), "TIFF"))
    (directory,) = struct.unpack_from("<I", whole, 4)
    (number,) = struct.unpack_from("<H", whole, directory)
    struct.pack_into("<I", whole, directory + 2 + 12 * number, len(whole))
    begin = len(whole)
    for page in range(100_000):
        whole += struct.pack("<HI", 0, begin + 6 * (page + 1))
    began = time.process_time()
    with pytest.raises(ImageRefusal) as refused:
        decoded(bytes(whole), "a.tif")
    assert refused.value.code == "animated"
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(("mode", "kept_as"), [("P", "RGB"), ("CMYK", "RGB"), ("LA", "L"), ("1", "L")])
def test_a_picture_of_several_strips_is_converted_as_one(mode: str, kept_as: str) -> None:
    size = (1_000, 1_000)
    picture = noise(1, size, "RGB").quantize(16) if mode == "P" else noise(1, size, mode)
    kept = Image.open(io.BytesIO(decoded(encoded(picture, "TIFF" if mode == "CMYK" else "PNG")).png))
    assert kept.tobytes() == picture.convert(kept_as).tobytes()


def test_sixteen_bit_grey_of_several_strips_is_scaled_as_one() -> None:
    deep = Image.frombytes("I;16", (1_000, 1_000), noise(1, (2_000, 1_000)).tobytes())
    kept = Image.open(io.BytesIO(decoded(encoded(deep)).png))
    values = struct.unpack(f"<{1_000_000}H", deep.tobytes())
    assert kept.tobytes() == bytes((value * 255 + 32_767) // 65_535 for value in values)


def test_a_tiff_of_floats_is_refused_with_how_to_bring_its_values_to_eight_bits() -> None:
    data = encoded(Image.new("F", (40, 40), 0.5), "TIFF")
    with pytest.raises(ImageRefusal) as refused:
        decoded(data, "height_map.tif")
    assert refused.value.code == "unsupported_mode"
    assert "0-255, the same range for all images" in refused.value.remedy
