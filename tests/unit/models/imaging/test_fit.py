import numpy as np
import pytest
from PIL import Image

from models.errors import InvalidSettings
from models.imaging.fit import FitPolicy, fit, resized


def checkerboard(side: int) -> Image.Image:
    return Image.fromarray(((np.indices((side, side)).sum(axis=0) % 2) * 255).astype(np.uint8))


def test_reducing_is_antialiased() -> None:
    small = np.asarray(resized(checkerboard(128), (32, 32)), dtype=np.float64)
    assert abs(small.mean() - 127.5) < 2 and small.std() < 8


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    image = checkerboard(16)
    assert resized(image, (16, 16)) is image


def test_center_crop_keeps_the_middle_and_its_shape() -> None:
    wide = Image.new("L", (300, 100), 0)
    wide.paste(255, (100, 0, 200, 100))
    assert np.asarray(fit(wide, 50, FitPolicy.CENTER_CROP)).min() == 255


def test_resize_keeps_the_whole_picture() -> None:
    wide = Image.new("L", (300, 100), 0)
    wide.paste(255, (150, 0, 300, 100))
    pixels = np.asarray(fit(wide, 50, FitPolicy.RESIZE))
    assert pixels.shape == (50, 50) and pixels[:, :20].max() == 0 and pixels[:, 30:].min() == 255


def test_a_native_size_of_nothing_is_refused_by_name() -> None:
    with pytest.raises(InvalidSettings) as refused:
        fit(checkerboard(4), 0, FitPolicy.RESIZE)
    assert refused.value.field == "size_px"
