"""Sample defect classes for demonstrations: drawn surfaces of kinds that the base model was NOT trained on.

``python -m models.prior.samples OUT`` writes OUT/train/CLASS/NN.png and OUT/validation/CLASS/NN.png: grey, 160 x 160
px, 20 images a class in either split, so that a score need not lean on the images that were trained on. With ``--test``
also OUT/test/CLASS/NN.png, for a classifier that is to be measured on what nothing has seen.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.prior import textures
from models.prior.textures import Field

Rng = np.random.Generator


def _finish(rng: Rng, grey: Field, noise: float) -> npt.NDArray[np.uint8]:
    lit = grey * textures.illumination(rng, grey.shape[0], rng.uniform(0.0, 0.2))
    noisy = lit + noise * rng.standard_normal(grey.shape, dtype=np.float32)
    return np.asarray(np.rint(np.clip(noisy, 0, 1) * 255), dtype=np.uint8)


def chatter_marks(rng: Rng, size: int) -> npt.NDArray[np.uint8]:
    """Ground steel with evenly spaced bands across the feed, strongest in one zone."""
    feed = rng.normal(0.0, 0.06)
    base = 0.55 + 0.035 * textures.power_law(rng, size, 0.6, feed, 9.0)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    angle = feed + np.pi / 2 + rng.normal(0, 0.05)
    along = x * np.sin(angle) - y * np.cos(angle) + 1.2 * textures.power_law(rng, size, 1.8)
    pitch = rng.uniform(9, 14) * size / 160
    bands = np.sin(2 * np.pi * along / pitch + rng.uniform(0, 6.28)) ** 3
    zone = np.exp(-0.5 * ((y - rng.uniform(0.3, 0.7) * size) / (rng.uniform(0.18, 0.32) * size)) ** 2)
    return _finish(rng, (base + rng.uniform(0.12, 0.2) * bands * zone).astype(np.float32), 0.012)


def weld_spatter(rng: Rng, size: int) -> npt.NDArray[np.uint8]:
    """Dull plate with bright round droplets, each with a shadow on the side away from the light."""
    base = 0.36 + 0.045 * textures.power_law(rng, size, 1.1)
    image = base.copy()
    light = -np.pi / 4 + rng.normal(0, 0.15)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    for _ in range(int(rng.integers(6, 15))):
        radius = float(np.exp(rng.uniform(np.log(2.2), np.log(8.0)))) * size / 160
        cx, cy = rng.uniform(0.06, 0.94, 2) * size
        distance = np.hypot(x - cx, (y - cy) * rng.uniform(0.9, 1.1)) / radius
        shadow = np.hypot(x - cx + 0.7 * radius * np.cos(light), y - cy + 0.7 * radius * np.sin(light)) / radius
        drop = textures.smooth_step(1 - distance, 0.0, 0.06)
        shine = np.exp(
            -2.2 * np.hypot(x - cx - 0.35 * radius * np.cos(light), y - cy - 0.35 * radius * np.sin(light)) / radius
        )
        image = image - 0.22 * textures.smooth_step(1.15 - shadow, 0.0, 0.12)
        image = image * (1 - drop) + drop * (0.42 + 0.55 * shine)
    return _finish(rng, image.astype(np.float32), 0.014)


def corrosion_rings(rng: Rng, size: int) -> npt.NDArray[np.uint8]:
    """Bright sheet with dried water drops: thin ragged rings, darker rust freckles inside."""
    image = 0.72 + 0.02 * textures.power_law(rng, size, 1.4)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    for _ in range(int(rng.integers(2, 5))):
        radius = rng.uniform(0.11, 0.26) * size
        cx, cy = rng.uniform(0.12, 0.88, 2) * size
        wobble = 0.05 * radius * textures.power_law(rng, size, 1.7)
        distance = np.hypot(x - cx, y - cy) + wobble
        ring = np.exp(-0.5 * ((distance - radius) / (rng.uniform(1.2, 2.4) * size / 160)) ** 2)
        inside = textures.smooth_step(radius - distance, 0.0, 1.5)
        freckles = textures.smooth_step(textures.band_pass(rng, size, 5 * size / 160, 0.4), 1.3, 0.15)
        image = image - 0.3 * ring - inside * (0.06 + 0.24 * freckles)
    return _finish(rng, image.astype(np.float32), 0.01)


SAMPLE_CLASSES: dict[str, Callable[[Rng, int], npt.NDArray[np.uint8]]] = {
    "chatter_marks": chatter_marks,
    "weld_spatter": weld_spatter,
    "corrosion_rings": corrosion_rings,
}


def write_samples(
    out_dir: Path, images_per_class: int = 20, size_px: int = 160, seed: int = 7, with_test: bool = False
) -> None:
    """Write ``images_per_class`` of every class to a folder of its name in each split's folder under ``out_dir``."""
    splits = ("train", "validation", "test") if with_test else ("train", "validation")
    for place, split in enumerate(splits):
        for name, draw in SAMPLE_CLASSES.items():
            folder = out_dir / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(images_per_class):
                rng = np.random.default_rng([seed, *name.encode(), place * images_per_class + number])
                Image.fromarray(draw(rng, size_px)).save(folder / f"{number:02d}.png")


def main() -> None:
    """Parse the command line and write the samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images-per-class", type=int, default=20)
    parser.add_argument("--test", action="store_true", help="also a test split")
    arguments = parser.parse_args()
    write_samples(arguments.out, arguments.images_per_class, with_test=arguments.test)


if __name__ == "__main__":
    main()
