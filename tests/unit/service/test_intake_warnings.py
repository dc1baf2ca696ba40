"""What a person is told of accepted images, of one as of several."""

from collections.abc import Sequence

import pytest

from service.contracts.datasets import Split
from service.intake_warnings import about_conversions, about_images
from service.store.tables import ImageRow


def image(class_name: str, number: int, pixels: str) -> ImageRow:
    return ImageRow(
        class_name=class_name, filename=f"{number}.png", pixel_sha256=pixels, split=Split.TRAIN, width_px=32,
        height_px=32, mode="L", sharpness=1.0,
    )  # fmt: skip


def told(images: Sequence[ImageRow], code: str) -> list[str]:
    found = about_images(images, ["pits", "scale"], min_train_images=2)
    return [warning.message for warning in found if warning.code == code]


@pytest.mark.parametrize(
    ("number", "pictures", "sets"),
    [
        (1, "1 picture has different labels (pits, scale): ", "1 set of images has the same pixels; "),
        (2, "2 pictures have different labels (pits, scale): ", "2 sets of images have the same pixels; "),
    ],
)
def test_what_stands_twice_is_counted(number: int, pictures: str, sets: str) -> None:
    both = [image(name, n, f"same {n}") for n in range(number) for name in ("pits", "scale")]
    (found,) = told(both, "same_pixels_in_two_classes")
    assert found.startswith(pictures)
    twice = [image("pits", 10 * n + copy, f"same {n}") for n in range(number) for copy in range(2)]
    (found,) = told(twice, "exact_duplicates")
    assert found.startswith(sets)


def test_conversions_are_counted_class_by_class() -> None:
    converted = [("pits", "a.tif", "16_bit_to_8_bit"), ("pits", "b.jpg", "wrong_extension")]
    converted += [("scale", f"{name}.png", "p_to_rgb") for name in "cd"]
    assert [warning.message for warning in about_conversions(converted)] == [
        "1 image was scaled from 16 to 8 bits a channel: a.tif",
        "1 image has an extension that is not of the format; the content decided: b.jpg",
        "2 images had a palette and became RGB: c.png, d.png",
    ]
