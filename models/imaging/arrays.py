"""Files, pictures and tensors: the only place that changes value range or layout.

Two representations exist: a `PIL.Image` of mode "L" or "RGB" (8 bit), and ``pixel_values``: (3, H, W) float32 in
[-1, 1], grey as three equal channels.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from models.errors import DatasetUnusable, NonFiniteLoss
from models.imaging.fit import FitPolicy, Fitted, fit, resized

#: What uploads are kept as, and so all that a worker ever opens.
STORED_FORMATS = ("PNG",)
_GREY_MODES = frozenset({"1", "L", "LA", "La"})


def load_image(path: Path, formats: tuple[str, ...] | None = STORED_FORMATS) -> Image.Image:
    """The picture at ``path``: turned upright by its EXIF tag, fully read, mode "L" or "RGB".

    ``formats``: what it may be, by Pillow's names; None is anything, for files that nobody sent. Raises
    `DatasetUnusable` when it is missing, truncated or no such picture.
    """
    try:
        with Image.open(path, formats=formats) as opened:
            opened.load()
            return eight_bit(ImageOps.exif_transpose(opened))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetUnusable(
            f"{path.name} cannot be read as an image ({error}).", field="images", remedy="Replace or remove this file."
        ) from error


def eight_bit(image: Image.Image) -> Image.Image:
    """``image`` as "L" or "RGB".

    16-bit grey becomes "L" by its full range (65535 -> 255), never by its own extremes: two pictures of one camera
    stay comparable. Pillow's own conversion would clip instead.
    """
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.float64)
        return Image.fromarray(np.rint(np.clip(deep, 0, 65535) / 257).astype(np.uint8))
    return image.convert("L" if image.mode in _GREY_MODES else "RGB")


def to_pixel_values(image: Image.Image) -> torch.Tensor:
    """``image`` at its own size -> (3, H, W) float32 in [-1, 1]; 0 -> -1, 255 -> 1."""
    pixels = np.array(eight_bit(image).convert("RGB"), dtype=np.float32)
    return (torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1.0).contiguous()


def to_tensor(image: Image.Image, size_px: int, policy: FitPolicy) -> torch.Tensor:
    """``image`` fitted to the native square by ``policy`` -> (3, size_px, size_px) float32 in [-1, 1]."""
    return to_pixel_values(fit(eight_bit(image), size_px, policy))


def to_image(pixel_values: torch.Tensor, mode: str, size_px: tuple[int, int]) -> Image.Image:
    """(3, H, W) float, about [-1, 1] -> a picture of ``mode`` ("L" or "RGB") at ``size_px`` (width, height).

    Values are clamped to the range and rounded to the nearest level. "L" is the mean of the channels. Raises
    `NonFiniteLoss` when a value is NaN or infinite: such an image would silently come out black.
    """
    if pixel_values.ndim != 3 or pixel_values.shape[0] != 3 or mode not in ("L", "RGB"):
        raise ValueError(f"need (3, H, W) and mode L or RGB, got {tuple(pixel_values.shape)} and {mode}")
    values = pixel_values.detach().to("cpu", torch.float32)
    if not bool(torch.isfinite(values).all()):
        raise NonFiniteLoss("A generated image holds NaN or infinite values.", remedy="Adapt again with a lower rate.")
    if mode == "L":
        values = values.mean(dim=0)
    levels = ((values.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
    pixels = levels if mode == "L" else levels.permute(1, 2, 0)
    return resized(Image.fromarray(pixels.contiguous().numpy()), size_px)


def deliver(pixel_values: torch.Tensor, fitted: Fitted) -> Image.Image:
    """A generated (3, H, W) image, about [-1, 1], in the size and mode of the original that ``fitted`` describes."""
    return to_image(pixel_values, fitted.mode, fitted.delivered_size_px)
