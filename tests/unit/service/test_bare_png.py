import hashlib
import io

import pytest
from PIL import Image

from service.bare_png import written
from tests.fakes.pictures import noise


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", [(1, 1), (17, 3), (640, 2_000), (2_000, 640)], ids=str)
def test_the_pixels_come_back_and_nothing_else_with_them(mode: str, size: tuple[int, int]) -> None:
    picture = noise(7, size, mode)
    picture.info["Comment"] = "line 7"
    data, pixel_sha256 = written(picture)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as whole:
        whole.verify()
    with Image.open(io.BytesIO(data), formats=("PNG",)) as back:
        assert (back.mode, back.size, back.info) == (mode, size, {})
        assert back.tobytes() == picture.tobytes()
    told = f"{mode} {size[0]} {size[1]} ".encode() + picture.tobytes()
    assert pixel_sha256 == hashlib.sha256(told).hexdigest()


def test_a_smooth_surface_takes_less_room_than_its_pixels() -> None:
    ramp = Image.linear_gradient("L").resize((1_000, 1_000))
    assert len(written(ramp)[0]) < 1_000_000 / 4
