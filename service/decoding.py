"""Decode one uploaded image within bounds, and bring it to what the record keeps: PNG, ``L`` or ``RGB``, bare."""

import hashlib
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from PIL import Image, ImageOps, UnidentifiedImageError

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
_KNOWN_BUT_REFUSED: Mapping[bytes, str] = {b"GIF8": "GIF", b"%PDF": "PDF", b"8BPS": "Photoshop", b"PK\x03\x04": "zip"}
_GREY_16 = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
_TO_GREY = frozenset({"1", "LA", "La"})
_TO_RGB = frozenset({"P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
_HAS_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_ORIENTATION = 0x0112
_PNG_COMPRESS_LEVEL = 4


@dataclass(frozen=True)
class ImageLimits:
    """What one image may measure."""

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


def decode(data: bytes, filename: str, limits: ImageLimits) -> DecodedImage:
    """Decode, check and normalise one image. Raises ``ImageRefusal``.

    EXIF rotation is applied. 16-bit grey is scaled by 255/65535. Alpha is dropped, palettes and CMYK become RGB.
    """
    if not data:
        raise ImageRefusal("empty_file", "the file is empty", "Send the image's bytes.")
    try:
        return _decode(data, filename, limits)
    except ImageRefusal:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(f"it declares more than {limits.max_pixels} pixels") from error
    except UnidentifiedImageError as error:
        raise _not_an_image(data) from error
    except Exception as error:  # hostile bytes make decoders raise anything: struct, zlib, index and type errors
        raise ImageRefusal(
            "truncated", "the image is truncated or damaged", "Export it again from its source and check that it opens."
        ) from error


def _decode(data: bytes, filename: str, limits: ImageLimits) -> DecodedImage:
    with Image.open(io.BytesIO(data), formats=FORMATS) as probe:
        _check_header(probe, limits)
        conversions = _extension_note(probe.format or "", filename)
        probe.verify()
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.mode not in _GREY_16 and any(";16" in str(tile.args) for tile in image.tile):
            conversions.append("16_bit_to_8_bit")
        image.load()
        upright, turned = _upright(image)
    if turned:
        conversions.append("exif_rotated")
    kept, changed = _to_kept_mode(upright)
    return _as_png(kept, (*conversions, *changed))


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
    # What follows the picture of an MPO is a preview or a gain map: cameras and telephones write such JPEG files.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
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
        return _grey_16_to_8(image), ["16_bit_to_8_bit"]
    if mode in _TO_GREY:
        return image.convert("L"), notes or ["bilevel_to_grey"]
    if mode in _TO_RGB:
        return _to_rgb(image), notes or [f"{mode.lower()}_to_rgb"]
    raise ImageRefusal("unsupported_mode", f"its pixel format {mode!r} is not supported", "Save it as 8-bit PNG.")


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
    scaled = values.astype(np.uint32)  # in place from here on: a picture may have 64 million pixels
    scaled *= 255
    scaled += 32_767
    scaled //= 65_535
    return Image.fromarray(scaled.astype(np.uint8))


def _as_png(image: Image.Image, conversions: tuple[str, ...]) -> DecodedImage:
    clean = image.copy()
    clean.info = {}
    stream = io.BytesIO()
    clean.save(stream, "PNG", compress_level=_PNG_COMPRESS_LEVEL)
    digest = hashlib.sha256(f"{clean.mode} {clean.width} {clean.height} ".encode())
    digest.update(clean.tobytes())
    return DecodedImage(
        png=stream.getvalue(),
        pixel_sha256=Sha256(digest.hexdigest()),
        width_px=clean.width,
        height_px=clean.height,
        mode=clean.mode,
        sharpness=sharpness(clean),
        conversions=conversions,
    )


def _too_large(reason: str) -> ImageRefusal:
    return ImageRefusal("too_large", reason, "Crop it to the region of interest, or scale it down.")


def _not_an_image(data: bytes) -> ImageRefusal:
    accepted = "PNG, JPEG, BMP, TIFF or WEBP"
    for magic, name in _KNOWN_BUT_REFUSED.items():
        if data.startswith(magic):
            return ImageRefusal("unsupported_format", f"it is a {name} file", f"Send it as {accepted}.")
    return ImageRefusal("not_an_image", f"it is not a {accepted} image", f"Send an image as {accepted}.")
