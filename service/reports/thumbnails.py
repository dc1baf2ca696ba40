"""Stored pictures as data URIs, small and few enough for one page."""

import base64
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from service.decoding import STORED_FORMATS
from service.errors import ArtifactMissing
from service.thumbnails import jpeg_of

#: Gives the data URI of a stored picture by digest and longest side in pixels; None where it cannot be shown.
Pictures = Callable[[str, int], str | None]

THUMBNAIL_PX = 200
SHEET_PX = 1400
MAX_PICTURES = 150


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
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_of(image, longest_px)).decode()
