import numpy as np
import pytest
from PIL import Image, ImageOps

from models.evaluation.pixels import MAX_SHIFT_PX, SIDE_PX, Mirrored, Patterns, likeness, pattern
from tests.fakes.pictures import noise


def by_hand(a: np.ndarray, b: np.ndarray) -> tuple[float, tuple[int, int]]:
    """The largest correlation on the overlap, over all shifts, one by one; and where."""
    found = {}
    for down in range(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1):
        for right in range(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1):
            part = a[max(0, down) : SIDE_PX + min(0, down), max(0, right) : SIDE_PX + min(0, right)]
            moved = b[max(0, -down) : SIDE_PX + min(0, -down), max(0, -right) : SIDE_PX + min(0, -right)]
            found[down, right] = np.corrcoef(part.ravel(), moved.ravel())[0, 1]
    best = max(found, key=lambda shift: found[shift])
    return found[best], best


def test_equals_the_correlation_of_each_overlap_computed_one_by_one() -> None:
    first, second = noise(1, (64, 64)), noise(2, (64, 64))
    alike = likeness(Patterns.of([first]), 0, Mirrored.of([second, first]))
    mirrored, turned_over = ImageOps.mirror(second), ImageOps.flip(second)
    plain = [by_hand(pattern(first), pattern(one)) for one in (second, mirrored, turned_over, ImageOps.flip(mirrored))]
    best = max(range(4), key=lambda index: plain[index])
    assert (1.0 - alike.distances[0], alike.flips[0]) == (pytest.approx(plain[best][0], abs=1e-4), best)
    assert tuple(alike.shifts_px[0]) == plain[best][1]
    assert alike.distances[1] == pytest.approx(0.0, abs=1e-4) and not alike.shifts_px[1].any()


def test_a_pattern_forgets_brightness_contrast_and_slow_illumination() -> None:
    values = np.asarray(noise(3, (128, 128)).resize((128, 128))).astype(np.float64)
    other = 30 + 0.5 * values + np.linspace(0, 90, 128)[:, None]
    first, second = (pattern(Image.fromarray(pixels.astype(np.uint8))) for pixels in (values, other))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_of_any_size_and_mode_has_a_pattern(mode: str) -> None:
    assert pattern(noise(1, (17, 300), mode)).shape == (SIDE_PX, SIDE_PX)
    assert not pattern(Image.new(mode, (5, 5))).any()


def test_a_flat_picture_resembles_nothing_not_even_itself() -> None:
    flat = Image.new("L", (64, 64), 77)
    assert likeness(Patterns.of([flat]), 0, Mirrored.of([flat, noise(1)])).distances.tolist() == [1.0, 1.0]
