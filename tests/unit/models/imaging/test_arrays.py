from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import DatasetUnusable, NonFiniteLoss
from models.imaging.arrays import deliver, load_image, to_image, to_pixel_values, to_tensor
from models.imaging.fit import FitPolicy, Fitted

EXIF_ORIENTATION = 0x0112


def noise(shape: tuple[int, ...], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def test_black_is_minus_one_and_white_is_one() -> None:
    pixels = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    values = to_pixel_values(pixels)
    assert values.shape == (3, 1, 2) and values.dtype == torch.float32
    assert values[:, 0, 0].tolist() == [-1.0] * 3 and values[:, 0, 1].tolist() == [1.0] * 3


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3)])
def test_every_level_survives_the_round_trip_in_its_own_mode(shape: tuple[int, ...]) -> None:
    image = noise(shape)
    back = to_image(to_pixel_values(image), image.mode, image.size)
    assert back.mode == image.mode and back.tobytes() == image.tobytes()


def test_a_grey_picture_stays_grey_as_the_mean_of_its_channels() -> None:
    values = torch.tensor([-1.0, 0.0, 0.4]).view(3, 1, 1).expand(3, 4, 4)
    image = to_image(values, "L", (4, 4))
    assert image.mode == "L" and image.getpixel((0, 0)) == round((-0.2 + 1) * 127.5)


def test_values_outside_the_range_are_clamped_rather_than_wrapped() -> None:
    values = torch.tensor([-1.7, 1.9]).view(1, 1, 2).expand(3, 1, 2)
    image = to_image(values, "RGB", (2, 1))
    assert image.getpixel((0, 0)) == (0, 0, 0) and image.getpixel((1, 0)) == (255, 255, 255)


def test_an_image_that_is_not_finite_is_refused() -> None:
    with pytest.raises(NonFiniteLoss, match="NaN"):
        to_image(torch.full((3, 2, 2), float("nan")), "L", (2, 2))


def test_sixteen_bit_grey_is_scaled_by_its_full_range(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    image = load_image(tmp_path / "deep.png")
    assert image.mode == "L" and list(image.tobytes()) == [0, 1, 128, 255]


def test_a_picture_is_turned_upright_by_its_exif_tag(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    noise((4, 10)).save(tmp_path / "turned.png", exif=exif)
    assert load_image(tmp_path / "turned.png").size == (4, 10)


def test_a_truncated_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    noise((64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:800])
    with pytest.raises(DatasetUnusable, match=r"cut\.png.*Replace or remove"):
        load_image(tmp_path / "cut.png")


@pytest.mark.parametrize(("policy", "delivered"), [(FitPolicy.RESIZE, (200, 120)), (FitPolicy.CENTER_CROP, (120, 120))])
def test_what_is_delivered_has_the_originals_mode_and_scale(policy: FitPolicy, delivered: tuple[int, int]) -> None:
    original = noise((120, 200))
    native = to_tensor(original, 64, policy)
    assert native.shape == (3, 64, 64) and float(native.abs().max()) <= 1.0
    result = deliver(native, Fitted.of(original, policy))
    assert result.size == delivered and result.mode == "L"
