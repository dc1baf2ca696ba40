"""The gate that judges image by image, on drawn surfaces of one kind."""

import time

import numpy as np
import pytest
from PIL import Image, ImageOps

from models.errors import DatasetUnusable
from models.evaluation.copies import CopyGate, CopyVerdict
from models.evaluation.features import Features
from models.evaluation.pixel_threshold import handled
from models.evaluation.pixels import Flip


def surface(seed: int, side: int = 128) -> Image.Image:
    """Soft spots with grain on an uneven illumination; another seed is another image of the same class."""
    rng = np.random.default_rng(seed)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side))) * side
    spectrum = np.fft.fft2(rng.normal(size=(side, side))) * np.exp(-np.square((frequencies - 8.0) / 6.0))
    field = np.fft.ifft2(spectrum).real
    light = np.linspace(-20, 20, side)[:, None] * rng.uniform(-1, 1)
    return Image.fromarray(np.clip(120 + 25 * field / field.std() + light, 0, 255).astype(np.uint8))


def far_apart(n: int, seed: int = 0) -> Features:
    """Features that call nothing a copy."""
    return np.random.default_rng(seed).normal(size=(n, 16)) * 10.0


def fitted(count: int = 20, side: int = 128) -> tuple[list[Image.Image], CopyGate]:
    images = [surface(seed, side) for seed in range(count)]
    return images, CopyGate.fit(images, far_apart(count))


def judged(gate: CopyGate, images: list[Image.Image], own: list[tuple[int, ...]] | None = None) -> list[CopyVerdict]:
    return gate.judge(images, far_apart(len(images), seed=9), own or [()] * len(images))


@pytest.mark.parametrize("side", [128, 200])
def test_a_source_moved_by_8_px_brightened_and_noised_is_caught_by_its_pixels(side: int) -> None:
    images, gate = fitted(side=side)
    rng = np.random.default_rng(1)
    copies = [handled(image, (8 / side, -8 / side), rng) for image in images]
    verdicts = judged(gate, copies, [(number,) for number in range(len(images))])
    assert all(verdict.is_copy and verdict.by == "pixels" for verdict in verdicts)
    assert [verdict.nearest_index for verdict in verdicts] == list(range(len(images)))
    right, down = np.array([verdict.shift_px for verdict in verdicts]).T
    assert np.abs(down - 8).max() <= 3 and np.abs(right + 8).max() <= 3


@pytest.mark.parametrize("flip", [Flip.HORIZONTAL, Flip.VERTICAL, Flip.BOTH])
def test_a_mirrored_source_is_caught_and_how_it_was_mirrored_is_told(flip: Flip) -> None:
    images, gate = fitted()
    mirror = ImageOps.mirror(images[3]) if flip is not Flip.VERTICAL else images[3]
    copy = ImageOps.flip(mirror) if flip is not Flip.HORIZONTAL else mirror
    (verdict,) = judged(gate, [copy])
    assert (verdict.is_copy, verdict.nearest_index, verdict.flip, verdict.shift_px) == (True, 3, flip, (0, 0))
    assert verdict.pixel_distance < 0.05


def test_less_contrast_and_another_illumination_do_not_hide_a_copy() -> None:
    images, gate = fitted()
    pixels = np.asarray(images[5], dtype=np.float64)
    dull = Image.fromarray((60 + 0.4 * pixels + np.linspace(0, 60, 128)[None, :]).astype(np.uint8))
    (verdict,) = judged(gate, [dull])
    assert verdict.is_copy and verdict.nearest_index == 5


def test_unseen_real_images_pass() -> None:
    _, gate = fitted()
    verdicts = judged(gate, [surface(seed) for seed in range(1000, 1060)], None)
    assert np.mean([verdict.is_copy for verdict in verdicts]) <= 0.1
    assert all(verdict.by is None for verdict in verdicts if not verdict.is_copy)


def test_crops_that_overlap_count_once_or_every_moved_copy_would_pass() -> None:
    images = [surface(seed) for seed in range(12)]
    overlapping = [handled(image, (0.03, 0.03), np.random.default_rng(2)) for image in images[:4]]
    alone = CopyGate.fit(images, far_apart(12)).pixel_threshold
    together = CopyGate.fit(images + overlapping, far_apart(16)).pixel_threshold
    assert together == pytest.approx(alone, abs=0.08)


def test_features_catch_what_pixels_do_not() -> None:
    _, gate = fitted()
    (verdict,) = gate.judge([surface(777)], gate.features[4:5] + 0.01, [()])
    assert (verdict.is_copy, verdict.by, verdict.nearest_index) == (True, "features", 4)
    assert verdict.feature_threshold is not None and verdict.feature_distance < verdict.feature_threshold


def test_its_own_source_comes_first_among_those_it_copies() -> None:
    images = [surface(seed) for seed in range(10)]
    images[7] = handled(images[2], (0.0, 0.0), np.random.default_rng(3))
    gate = CopyGate.fit(images, far_apart(10))
    assert [judged(gate, [images[2]], [own])[0].nearest_index for own in ((), (7,), (4, 7))] == [2, 7, 7]


def test_flat_images_are_no_copies_of_each_other_and_do_not_divide_by_zero() -> None:
    flat = [Image.new("L", (64, 48), level) for level in (0, 90, 180, 255)]
    gate = CopyGate.fit(flat, far_apart(4))
    verdicts = judged(gate, [Image.new("RGB", (64, 48), (9, 9, 9)), surface(1)])
    assert not any(verdict.is_copy for verdict in verdicts)
    assert np.isfinite([verdict.pixel_distance for verdict in verdicts]).all()


@pytest.mark.parametrize("count", [1, 3])
def test_one_real_image_has_no_feature_threshold_but_its_copies_are_found_in_pixels(count: int) -> None:
    gate = CopyGate.fit([surface(0)] * count, np.repeat(far_apart(1), count, axis=0))
    copy = handled(surface(0), (0.05, 0.05), np.random.default_rng(4))
    verdicts = judged(gate, [copy, surface(50)])
    assert gate.feature_threshold is None
    assert [verdict.is_copy for verdict in verdicts] == [True, False]


def test_no_real_image_is_refused() -> None:
    with pytest.raises(DatasetUnusable, match="no real image"):
        CopyGate.fit([], far_apart(0))


def test_with_many_real_images_its_own_source_is_compared_even_when_its_features_are_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.evaluation.copies._COMPARED_IN_PIXELS", 3)
    images, gate = fitted()
    features = gate.features[:1] + 30.0
    farthest = int(np.linalg.norm(gate.features - features, axis=1).argmax())
    copy = handled(images[farthest], (0.02, 0.02), np.random.default_rng(5))
    unknown, known = (gate.judge([copy], features, [own])[0] for own in ((), (farthest,)))
    assert not unknown.is_copy
    assert known.is_copy and known.nearest_index == farthest


def test_judging_a_batch_is_fast() -> None:
    _, gate = fitted()
    batch = [surface(seed, 200) for seed in range(24)]
    begun = time.process_time()
    judged(gate, batch)
    assert time.process_time() - begun < 1.0
