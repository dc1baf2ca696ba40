import pytest
from PIL import Image

from models.errors import DatasetUnusable
from models.imaging.contact_sheet import SheetStyle, contact_sheet

RED, BLUE = (250, 0, 0), (0, 0, 250)


def rows_with(sheet: Image.Image, colour: tuple[int, int, int]) -> list[int]:
    return [y for y in range(sheet.height) if any(sheet.getpixel((x, y)) == colour for x in range(0, sheet.width, 4))]


def test_real_images_stand_above_synthetic_ones_whatever_their_sizes() -> None:
    real = [Image.new("RGB", (200, 90), RED), Image.new("RGB", (3, 7), RED)]
    sheet = contact_sheet(real, [Image.new("RGB", (1000, 1000), BLUE)] * 9, "dents — 128 px", "a subtitle")
    assert sheet.mode == "RGB"
    assert max(rows_with(sheet, RED)) < min(rows_with(sheet, BLUE))


def test_rows_are_limited_so_that_a_thousand_images_make_one_page() -> None:
    style = SheetStyle(columns=4, cell_px=32, max_synthetic_rows=2)
    grey = Image.new("L", (16, 16), 90)
    assert (
        contact_sheet([grey], [grey] * 1000, "t" * 500, style=style).size
        == contact_sheet([grey], [grey] * 8, "t", style=style).size
    )


def test_one_side_may_be_empty_but_not_both() -> None:
    assert contact_sheet([], [Image.new("L", (8, 8))], "synthetic alone").height > 0
    with pytest.raises(DatasetUnusable):
        contact_sheet([], [], "nothing")
