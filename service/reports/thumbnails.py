"""Stored pictures as data URIs, small and few enough for one page."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from service.decoding import STORED_FORMATS
from service.errors import ArtifactMissing

#: Gives the data URI of a stored picture by digest and longest side in pixels; None where it cannot be shown.
Pictures = Callable[[str, int], str | None]

THUMBNAIL_PX = 200
SHEET_PX = 1400
MAX_PICTURES = 150
_JPEG_QUALITY = 88


class StoredPictures:
    """Pictures of one page. After ``limit`` different ones it gives no more, so that a page stays small."""

    def __init__(self, path_of: Callable[[str], Path], limit: int = MAX_PICTURES) -> None:
        self._path_of = path_of
        self._limit = limit
        self._made: dict[tuple[str, int], str | None] = {}

    def __call__(self, sha256: str, longest_px: int) -> str | None:
        """The data URI; None for bytes that are gone or no picture, and beyond the limit."""
        key = (sha256, longest_px)
        if key not in self._made:
            if len(self._made) >= self._limit:
                return None
            self._made[key] = self._uri(sha256, longest_px)
        return self._made[key]

    def _uri(self, sha256: str, longest_px: int) -> str | None:
        try:
            with Image.open(self._path_of(sha256), formats=STORED_FORMATS) as image:
                return data_uri(image, longest_px)
        except (ArtifactMissing, OSError):
            return None


def data_uri(image: Image.Image, longest_px: int) -> str:
    """A JPEG of the picture, its longest side at most ``longest_px``; never enlarged."""
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    if max(image.size) > longest_px:
        scale = longest_px / max(image.size)
        size = tuple(max(1, round(side * scale)) for side in image.size)
        # Reduced by whole factors first, so that a picture of many megapixels costs little more than its decoding.
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
