"""Which images of a class are blurred, told by how much fine structure they have beside the others."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

from PIL import Image, ImageFilter, ImageStat

#: Of an image scaled down to this side at most: finer structure than a base model shows does not count.
_SIDE_PX: Final = 512
_LAPLACE: Final = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
#: With fewer images nobody can say what is usual.
_MIN_IMAGES: Final = 6
_LEAST_FACTOR: Final = 4.0
_DEVIATIONS: Final = 3.5
#: Median absolute deviations in a standard deviation of a normal distribution.
_MAD_SCALE: Final = 1.4826


def sharpness(image: Image.Image) -> float:
    """The variance of the image's Laplacian over its own variance: above 0, whatever its contrast is."""
    grey = image.convert("L")
    grey.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.BOX)
    fine = grey.filter(_LAPLACE).crop((1, 1, grey.width - 1, grey.height - 1))
    return max(float(ImageStat.Stat(fine).var[0]), 1e-3) / max(float(ImageStat.Stat(grey).var[0]), 1.0)


def blurred(values: Sequence[float | None]) -> list[int]:
    """Places of the images that are far less sharp than is usual among them; of those received before it was measured
    nothing is said. Surfaces differ, so there is no sharpness that is too little in itself."""
    known = [math.log(value) for value in values if value is not None]
    if len(known) < _MIN_IMAGES:
        return []
    usual = median(known)
    spread = _MAD_SCALE * median(abs(one - usual) for one in known)
    least = usual - max(math.log(_LEAST_FACTOR), _DEVIATIONS * spread)
    return [place for place, value in enumerate(values) if value is not None and math.log(value) < least]
