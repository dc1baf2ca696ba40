"""Blur is told by comparison within a class, whatever the surface and the contrast."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from service.sharpness import blurred, sharpness


def surface(seed: int, grain: float) -> Image.Image:
    """A surface with grain of that width in pixels."""
    noise = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (128, 128), dtype=np.uint8))
    return noise.filter(ImageFilter.GaussianBlur(grain))


@pytest.mark.parametrize("grain", [0.5, 1.0])
def test_one_image_out_of_focus_is_found_among_sharp_ones_of_any_surface(grain: float) -> None:
    images = [surface(seed, grain) for seed in range(10)]
    images[3] = images[3].filter(ImageFilter.GaussianBlur(4))
    assert blurred([sharpness(one) for one in images]) == [3]


def test_contrast_is_not_sharpness() -> None:
    image = surface(1, 1.0)
    assert sharpness(ImageEnhance.Contrast(image).enhance(0.5)) == pytest.approx(sharpness(image), rel=0.1)


def test_a_class_whose_images_are_all_soft_or_few_or_of_old_has_none() -> None:
    soft = [sharpness(surface(seed, 4.0)) for seed in range(10)]
    assert blurred(soft) == []
    assert blurred([1.0, 1.0, 1.0, 1.0, 0.001]) == []
    assert blurred([None] * 10) == []


def test_a_plain_picture_has_a_sharpness() -> None:
    assert sharpness(Image.new("RGB", (16, 16), "grey")) > 0
