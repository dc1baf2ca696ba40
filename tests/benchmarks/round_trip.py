"""What the bundled autoencoder keeps of real images: a markdown table, a row a class.

    python tests/benchmarks/round_trip.py --data FOLDER --split 0 --sheet SHEET.png

FOLDER holds images/CLASS/*.jpg and splits.json; the split's test images are what is asked about. Images are fitted to
the native size first, so the table tells what the autoencoder loses and not what resizing does. Decibels compare the
radial power spectra of round-tripped and original images, in bands given in cycles per pixel (0.25 is half of Nyquist).
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from neu_plan import all_classes, read_splits
from PIL import Image

from models.diffusion import latents
from models.diffusion.base_model import BaseModel, load_base_model
from models.imaging.arrays import load_image
from models.imaging.fit import FitPolicy, fit

MINI = Path(__file__).parents[2] / "models/prior/mini"
BANDS = ((0.01, 0.06), (0.06, 0.125), (0.125, 0.19), (0.19, 0.25), (0.25, 0.375), (0.375, 0.5))
Grey = npt.NDArray[np.float64]


def band_powers(images: Grey) -> list[float]:
    """Mean power of (N, H, W) images in each band."""
    size = images.shape[1]
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    power = (np.abs(np.fft.rfft2(images - images.mean((1, 2), keepdims=True))) ** 2).mean(0)
    return [float(power[(radius >= low) & (radius < high)].mean()) for low, high in BANDS]


def compare(base: BaseModel, paths: list[Path]) -> tuple[str, Image.Image]:
    originals = [load_image(path, formats=None).convert("L") for path in paths]
    native = [fit(image, base.native_size_px, FitPolicy.RESIZE) for image in originals]
    kept = latents.round_trip(base, originals, FitPolicy.RESIZE)
    before, after = (np.stack([np.asarray(image, np.float64) for image in images]) for images in (native, kept))
    psnr = float(np.mean(10 * np.log10(255**2 / ((before - after) ** 2).mean((1, 2)))))
    decibels = [10 * np.log10(b / a) for a, b in zip(band_powers(before), band_powers(after), strict=True)]
    pair = np.concatenate([np.concatenate(list(stack[:8]), axis=1) for stack in (before, after)]).astype(np.uint8)
    return f"{psnr:.1f} | " + " | ".join(f"{value:+.1f}" for value in decibels), Image.fromarray(pair)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--sheet", type=Path, default=Path(".sheets/round_trip.png"))
    parser.add_argument("--out", type=Path, default=Path(".sheets/round_trip.md"))
    arguments = parser.parse_args()
    arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
    base = load_base_model(str(MINI), name="mini")
    header = " | ".join(f"{low}-{high}" for low, high in BANDS)
    lines, sheets = [f"| class | PSNR, dB | {header} |", "|---" * (len(BANDS) + 2) + "|"], []
    [split] = read_splits(arguments.data, all_classes(arguments.data), 20, 100, [arguments.split])
    for name, paths in split.test.items():
        figures, sheet = compare(base, paths)
        lines.append(f"| {name} | {figures} |")
        sheets.append(np.asarray(sheet))
    Image.fromarray(np.concatenate(sheets)).save(arguments.sheet)
    arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
