"""What one upload may cost as a whole, however small its files are: pixels, and seconds of a processor."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from service.decoding import ImageRefusal

_REMEDY = "Send fewer or smaller images in one upload, or ask the operator to raise the named limit."


@dataclass(frozen=True)
class UploadLimits:
    """What all images of an upload may have and take together."""

    max_pixels: int
    max_seconds: float


class Budget:
    """One upload's. From the first image that does not fit, all that follow are refused without being read.

    ``spent_seconds``: of a processor, by the calling thread, so that an upload does not pay for what others do.
    """

    def __init__(self, limits: UploadLimits, spent_seconds: Callable[[], float] = time.thread_time) -> None:
        self._limits = limits
        self._spent_seconds = spent_seconds
        self._began = spent_seconds()
        self._num_pixels = 0
        self._over: ImageRefusal | None = None

    def check(self) -> None:
        """Whether another image may be read. Raises ``ImageRefusal``."""
        if self._over is None and self._spent_seconds() - self._began > self._limits.max_seconds:
            self._over = _refusal(
                f"the images before it took the {self._limits.max_seconds:g} seconds of a processor that an upload may "
                "take (max_upload_seconds)"
            )
        if self._over is not None:
            raise self._over

    def take_pixels(self, num_pixels: int) -> None:
        """Count an image by its header, before it is decoded. Raises ``ImageRefusal``."""
        if self._num_pixels + num_pixels > self._limits.max_pixels:
            self._over = _refusal(
                f"with the images before it the upload has more than the {self._limits.max_pixels} pixels that are "
                "allowed (max_upload_pixels)"
            )
            raise self._over
        self._num_pixels += num_pixels


def _refusal(reason: str) -> ImageRefusal:
    return ImageRefusal("upload_too_costly", reason, _REMEDY)
