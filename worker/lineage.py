"""PNG files that say what they are: every synthetic image carries its lineage as PNG text."""

import io
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from PIL import Image
from PIL.PngImagePlugin import PngInfo


def software() -> str:
    """Name and version of this program."""
    try:
        return f"defectsynth {version('defectsynth')}"
    except PackageNotFoundError:
        return "defectsynth (not installed)"


def png_bytes(image: Image.Image, text: Mapping[str, object]) -> bytes:
    """``image`` as PNG with ``text``; the same image and text give the same bytes."""
    info = PngInfo()
    for key in sorted(text):
        info.add_text(key, str(text[key]))
    stream = io.BytesIO()
    image.save(stream, "PNG", pnginfo=info, compress_level=6)
    return stream.getvalue()
