"""Small drawn images in every format that the tests send, and zips of them."""

import io
import zipfile

import numpy as np
from PIL import Image


def noise(seed: int, size: tuple[int, int] = (32, 32), mode: str = "L") -> Image.Image:
    """Noise that is the same for the same seed."""
    width, height = size
    values = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    """The image's file."""
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def png(seed: int, size: tuple[int, int] = (32, 32), mode: str = "L") -> bytes:
    """A PNG of noise."""
    return encoded(noise(seed, size, mode))


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of the members by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()
