"""Decode one uploaded image within bounds, and bring it to what the record keeps: PNG, ``L`` or ``RGB``, bare."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from service.bare_png import strips, written
from service.contracts.datasets import RefusedImage
from service.contracts.ids import Sha256
from service.sharpness import sharpness

#: All that uploads are ever opened as; what is stored, and opened later, is PNG.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
STORED_FORMATS = ("PNG",)
_SUFFIXES: Mapping[str, frozenset[str]] = {
    "PNG": frozenset({".png"}),
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}),
    "MPO": frozenset({".jpg", ".jpeg", ".mpo"}),
    "BMP": frozenset({".bmp", ".dib"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "WEBP": frozenset({".webp"}),
}
#: As many first bytes as tell an image's format, and as what they begin.
HEAD_BYTES = 16
_BEGINNINGS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"BM",
    *(b"II*\0", b"II\0*", b"II+\0", b"MM\0*", b"MM*\0", b"MM\0+"),  # TIFF and what cameras make of it
)
_KNOWN_BUT_REFUSED: Mapping[bytes, str] = {b"GIF8": "GIF", b"%PDF": "PDF", b"8BPS": "Photoshop", b"PK\x03\x04": "zip"}
_GREY_16 = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
_TO_GREY = frozenset({"1", "LA", "La"})
_TO_RGB = frozenset({"P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
_HAS_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_ORIENTATION = 0x0112
_START_OF_SCAN = b"\xff\xda"
#: Progressive files have some ten, and a decoder goes through the whole picture for each, though it be empty.
_MAX_SCANS = 100


@dataclass(frozen=True)
class ImageLimits:
    """What one image may measure."""

    max_bytes: int
    max_pixels: int
    max_side_px: int
    min_side_px: int


@dataclass(frozen=True)
class DecodedImage:
    """One image as it is kept. ``conversions`` says what was changed; ``pixel_sha256`` is of mode, size and pixels."""

    png: bytes
    pixel_sha256: Sha256
    width_px: int
    height_px: int
    mode: str
    sharpness: float
    conversions: tuple[str, ...] = field(default=())


class ImageRefusal(Exception):
    """One image is not accepted; the others of its upload are not touched by that."""

    def __init__(self, code: str, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.remedy = remedy

    def of(self, filename: str) -> RefusedImage:
        """The entry in an upload's answer."""
        return RefusedImage(filename=filename, code=self.code, reason=self.reason, remedy=self.remedy)


def bound_pillow(limits: ImageLimits) -> None:
    """Make Pillow itself refuse what is above the limit, in every thread; called once by the composition root."""
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    # What it warns of is told to the client as a refusal, or harms no pixel; a hostile file would fill the log with it.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def check_bytes(num_bytes: int, limits: ImageLimits) -> None:
    """Whether a file is small enough to be read. Raises ``ImageRefusal``."""
    if num_bytes > limits.max_bytes:
        raise ImageRefusal(
            "file_too_large",
            f"it has {num_bytes} bytes and {limits.max_bytes} are allowed (max_image_bytes)",
            "Save it as PNG or JPEG, or crop it to the region of interest.",
        )


def check_beginning(head: bytes) -> None:
    """Whether a file that begins like this may be an image, before more of it is read. Raises ``ImageRefusal``."""
    if not head:
        raise ImageRefusal("empty_file", "the file is empty", "Send the image's bytes.")
    if not head.startswith(_BEGINNINGS) and not (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        raise _not_an_image(head)


def decode(
    stream: BinaryIO, filename: str, limits: ImageLimits, admit: Callable[[int], None] = lambda num_pixels: None
) -> DecodedImage:
    """Decode, check and normalise one image, and close its stream. Raises ``ImageRefusal``.

    ``admit`` is told the number of pixels before any is decoded, and may refuse them. EXIF rotation is applied. 16-bit
    grey is scaled by 255/65535. Alpha is dropped, palettes and CMYK become RGB.
    """
    try:
        with stream:
            check_beginning(stream.read(HEAD_BYTES))
            return _decode(stream, filename, limits, admit)
    except ImageRefusal:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(f"it declares more than {limits.max_pixels} pixels") from error
    except UnidentifiedImageError as error:
        raise _not_an_image(b"") from error
    except Exception as error:  # hostile bytes make decoders raise anything: struct, zlib, index and type errors
        raise ImageRefusal(
            "truncated", "the image is truncated or damaged", "Export it again from its source and check that it opens."
        ) from error


def _decode(stream: BinaryIO, filename: str, limits: ImageLimits, admit: Callable[[int], None]) -> DecodedImage:
    stream.seek(0)
    with Image.open(stream, formats=FORMATS) as probe:
        _check_header(probe, limits)
        conversions = _extension_note(probe.format or "", filename)
        if "progressive" in probe.info:
            _check_scans(stream)
        probe.verify()
    admit(probe.width * probe.height)
    stream.seek(0)
    with Image.open(stream, formats=FORMATS) as image:
        if image.mode not in _GREY_16 and any(";16" in str(tile.args) for tile in image.tile):
            conversions.append("16_bit_to_8_bit")
        image.load()
        upright, turned = _upright(image)
    stream.close()  # the file's bytes are not needed beside the picture and its PNG
    if turned:
        conversions.append("exif_rotated")
    kept, changed = _to_kept_mode(upright)
    png, pixel_sha256 = written(kept)
    sharp = sharpness(kept)
    return DecodedImage(png, pixel_sha256, kept.width, kept.height, kept.mode, sharp, (*conversions, *changed))


def _check_scans(stream: BinaryIO) -> None:
    """Of a progressive JPEG, in which a scan of nothing takes some bytes; what is pixels never looks like a marker."""
    stream.seek(0)
    found, last = 0, b""
    while piece := stream.read(2**20):
        found += (last + piece).count(_START_OF_SCAN)
        last = piece[-1:]
    if found > _MAX_SCANS:
        raise ImageRefusal(
            "too_many_scans",
            f"it is a JPEG of {found} scans and {_MAX_SCANS} are allowed",
            "Save it as a baseline JPEG or as PNG.",
        )


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image turned as its EXIF data say; damaged EXIF data do not spoil good pixels."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        return (image, False) if orientation == 1 else (ImageOps.exif_transpose(image), True)
    except Exception:  # the EXIF parser has no error of its own either
        return image, False


def _check_header(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if max(width, height) > limits.max_side_px:
        raise _too_large(f"it is {width}x{height} px and a side may be {limits.max_side_px} px at most")
    if width * height > limits.max_pixels:
        raise _too_large(f"it has {width * height} pixels and {limits.max_pixels} are allowed")
    if min(width, height) < limits.min_side_px:
        raise ImageRefusal(
            "too_small",
            f"it is {width}x{height} px and a side must be {limits.min_side_px} px at least",
            "Send the image in its original size.",
        )
    # Not by the number of frames: to count a TIFF's takes the square of their number, and six bytes make one.
    # What follows the picture of an MPO is a preview or a gain map: cameras and telephones write such JPEG files.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise ImageRefusal(
            "animated", "it holds more than one frame or page", "Save each frame as an image file of its own."
        )


def _extension_note(actual: str, filename: str) -> list[str]:
    suffix = PurePosixPath(filename).suffix.lower()
    return [] if suffix in _SUFFIXES.get(actual, frozenset()) else ["wrong_extension"]


def _to_kept_mode(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """The image in mode ``L`` or ``RGB``, and what that took."""
    mode = image.mode
    if mode in ("L", "RGB"):
        return image, (["alpha_dropped"] if "transparency" in image.info else [])
    notes = ["alpha_dropped"] if mode in _HAS_ALPHA or "transparency" in image.info else []
    if mode in _GREY_16:
        return _by_strips(image, "L", _grey_16_to_8), ["16_bit_to_8_bit"]
    if mode in _TO_GREY:
        return _by_strips(image, "L", lambda strip: strip.convert("L")), notes or ["bilevel_to_grey"]
    if mode in _TO_RGB:
        return _by_strips(image, "RGB", _to_rgb), notes or [f"{mode.lower()}_to_rgb"]
    if mode == "F":
        raise ImageRefusal(
            "unsupported_mode",
            "its values are floating-point numbers, of which nobody knows which is black and which white",
            "Map their range to 0-255, the same range for all images of the data set, and save them as 8-bit PNG.",
        )
    raise ImageRefusal("unsupported_mode", f"its pixel format {mode!r} is not supported", "Save it as 8-bit PNG.")


def _by_strips(image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Converted piece by piece: what lies between one mode and another takes no second and third picture's memory."""
    kept = Image.new(mode, image.size)
    for top, strip in strips(image):
        kept.paste(convert(strip), (0, top))
    return kept


def _to_rgb(image: Image.Image) -> Image.Image:
    """Colours as they are under the alpha, not blended with any background."""
    if image.mode in ("P", "PA", "RGBa"):
        image = image.convert("RGBA")
    return image.convert("RGB")


def _grey_16_to_8(image: Image.Image) -> Image.Image:
    """The full range 0-65535 to 0-255, the same for every image, so that brightness stays comparable."""
    import numpy as np  # rarely needed, and a fifth of the API's start

    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65_535:
        raise ImageRefusal("unsupported_mode", "its grey values exceed 16 bits", "Save it with 8 or 16 bits a pixel.")
    scaled = (values.astype(np.uint32) * 255 + 32_767) // 65_535
    return Image.fromarray(scaled.astype(np.uint8))


def _too_large(reason: str) -> ImageRefusal:
    return ImageRefusal("too_large", reason, "Crop it to the region of interest, or scale it down.")


def _not_an_image(head: bytes) -> ImageRefusal:
    accepted = "PNG, JPEG, BMP, TIFF or WEBP"
    for magic, name in _KNOWN_BUT_REFUSED.items():
        if head.startswith(magic):
            return ImageRefusal("unsupported_format", f"it is a {name} file", f"Send it as {accepted}.")
    return ImageRefusal("not_an_image", f"it is not a {accepted} image", f"Send an image as {accepted}.")
