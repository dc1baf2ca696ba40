"""PNG files that say what they are: every synthetic image carries its lineage as PNG text."""

import io
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from PIL import Image
from PIL.PngImagePlugin import PngInfo

#: IPTC's word for a picture that a trained model made; a name, not an address that anything asks.
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
#: The mark that other programs look for in a synthetic picture.
SYNTHETIC_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta>'
)


def software() -> str:
    """Name and version of this program."""
    try:
        return f"defectsynth {version('defectsynth')}"
    except PackageNotFoundError:
        return "defectsynth (not installed)"


def png_bytes(image: Image.Image, text: Mapping[str, object], xmp: str | None = None) -> bytes:
    """``image`` as PNG with ``text`` and an XMP packet; the same image and words give the same bytes."""
    info = PngInfo()
    for key in sorted(text):
        info.add_text(key, str(text[key]))
    if xmp is not None:
        info.add_itxt("XML:com.adobe.xmp", xmp)
    stream = io.BytesIO()
    image.save(stream, "PNG", pnginfo=info, compress_level=3)
    return stream.getvalue()
