"""From a picture of any size to the base model's square, and back to what is delivered."""

from dataclasses import dataclass
from enum import StrEnum

from PIL import Image

from models.errors import InvalidSettings


class FitPolicy(StrEnum):
    """How a picture is brought to the base model's native square.

    ``resize``: the whole picture, its aspect ratio given up. ``center_crop``: the short side becomes the native size
    and the middle square is kept, aspect ratio and texture undistorted.
    """

    RESIZE = "resize"
    CENTER_CROP = "center_crop"


@dataclass(frozen=True)
class Fitted:
    """What is needed to deliver a generated native image as if it had been taken like the original.

    ``width_px``, ``height_px``: the original's size. ``mode``: the original's mode, "L" or "RGB".
    """

    width_px: int
    height_px: int
    mode: str
    policy: FitPolicy

    @classmethod
    def of(cls, image: Image.Image, policy: FitPolicy) -> "Fitted":
        """The way back for ``image`` (mode "L" or "RGB", as `load_image` gives it)."""
        return cls(image.width, image.height, image.mode, policy)

    @property
    def delivered_size_px(self) -> tuple[int, int]:
        """(width, height) of what is delivered.

        The original's for ``resize``; for ``center_crop`` the square that was seen (side = the original's short side),
        because nothing was generated outside it and its scale is then the original's.
        """
        if self.policy is FitPolicy.RESIZE:
            return self.width_px, self.height_px
        side = min(self.width_px, self.height_px)
        return side, side


def fit(image: Image.Image, size_px: int, policy: FitPolicy) -> Image.Image:
    """``image`` as a square of ``size_px``, by ``policy``; the mode is kept. Raises `InvalidSettings` for no size."""
    if size_px < 1:
        raise InvalidSettings(f"A native size of {size_px} px is none.", field="size_px", remedy="Give at least 1.")
    if policy is FitPolicy.CENTER_CROP:
        image = _center_square(image)
    return resized(image, (size_px, size_px))


def resized(image: Image.Image, size_px: tuple[int, int]) -> Image.Image:
    """``image`` at (width, height), antialiased.

    Pillow widens a filter's support by the factor of reduction, so reducing is antialiased with any filter; bicubic is
    used there because its ringing at a scratch's edge is weaker than Lanczos'. Enlarging uses Lanczos, which keeps the
    spectrum of fine grain best, and grain is what the feature extractors look at.
    """
    if image.size == size_px:
        return image
    shrinks = size_px[0] * size_px[1] < image.width * image.height
    return image.resize(size_px, Image.Resampling.BICUBIC if shrinks else Image.Resampling.LANCZOS)


def _center_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
