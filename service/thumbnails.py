"""Small JPEGs of stored pictures, for galleries: made when they are first asked for, and remembered for a while."""

import io
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from threading import Lock

from PIL import Image

from service.decoding import STORED_FORMATS
from service.errors import ArtifactDamaged

_JPEG_QUALITY = 88


class ThumbnailSize(IntEnum):
    """Pixels of the longest side. Few sizes, so that two pages ask for the same ones."""

    TINY = 64
    SMALL = 128
    MEDIUM = 256
    LARGE = 512


class Thumbnails:
    """Thumbnails by digest and size, of one process. The least recently used go beyond ``max_bytes``."""

    def __init__(self, path_of: Callable[[str], Path], max_bytes: int) -> None:
        self._path_of = path_of
        self._max_bytes = max_bytes
        self._made: OrderedDict[tuple[str, ThumbnailSize], bytes] = OrderedDict()
        self._num_bytes = 0
        self._lock = Lock()

    def __call__(self, sha256: str, size: ThumbnailSize) -> bytes:
        """A JPEG. Raises ``ArtifactMissing``, and ``ArtifactDamaged`` for bytes that are no picture."""
        key = (sha256, size)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        jpeg = self._jpeg(sha256, size)  # Outside the lock: others need not wait, and twice the same is harmless.
        self._remember(key, jpeg)
        return jpeg

    def _jpeg(self, sha256: str, size: ThumbnailSize) -> bytes:
        path = self._path_of(sha256)
        try:
            with Image.open(path, formats=STORED_FORMATS) as image:
                return jpeg_of(image, size)
        except OSError as error:
            raise ArtifactDamaged(f"what is stored as {sha256} is no picture") from error

    def _remember(self, key: tuple[str, ThumbnailSize], jpeg: bytes) -> None:
        with self._lock:
            self._num_bytes += len(jpeg) - len(self._made.pop(key, b""))
            self._made[key] = jpeg
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= len(self._made.popitem(last=False)[1])


def jpeg_of(image: Image.Image, longest_px: int) -> bytes:
    """A JPEG of the picture, its longest side at most ``longest_px``; never enlarged."""
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    if max(image.size) > longest_px:
        scale = longest_px / max(image.size)
        size = tuple(max(1, round(side * scale)) for side in image.size)
        # Reduced by whole factors first, so that a picture of many megapixels costs little more than its decoding.
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return stream.getvalue()
