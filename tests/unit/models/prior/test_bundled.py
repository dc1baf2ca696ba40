"""The bundled weights: whole, small, and opened by stock diffusers and by our own code alike."""

import hashlib
import json

import numpy as np
from diffusers import StableDiffusionPipeline
from PIL import Image

from models.diffusion.base_model import load_base_model
from models.diffusion.latents import round_trip
from models.evaluation.features import extract
from models.evaluation.frechet import frechet_distance
from models.evaluation.mini import load_mini
from models.imaging.fit import FitPolicy
from models.prior import surfaces
from models.prior.publish import BUNDLED
from models.prior.samples import weld_spatter

MAX_FILE_BYTES, MAX_TOTAL_BYTES, MAX_UNET_PARAMETERS = 15_000_000, 40_000_000, 12_000_000


def drawn(kind: str, count: int, first: int = 0) -> list[Image.Image]:
    generators = [np.random.default_rng([77, first + index]) for index in range(count)]
    return [Image.fromarray(surfaces.draw(kind, rng).pixels) for rng in generators]


def test_every_file_is_the_one_its_manifest_names_and_small() -> None:
    digests = json.loads((BUNDLED / "manifest.json").read_text())["sha256"]
    files = [path for path in BUNDLED.rglob("*") if path.is_file()]
    weights = {str(path.relative_to(BUNDLED)) for path in files if path.suffix == ".safetensors"}
    assert weights <= digests.keys()
    for name, digest in digests.items():
        assert hashlib.sha256((BUNDLED / name).read_bytes()).hexdigest() == digest, name
    assert max(path.stat().st_size for path in files) < MAX_FILE_BYTES
    assert sum(path.stat().st_size for path in files) < MAX_TOTAL_BYTES


def test_stock_diffusers_opens_it_and_makes_a_surface() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(BUNDLED)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.unet.num_parameters() < MAX_UNET_PARAMETERS
    made = pipeline("a photo of scratches", num_inference_steps=4, output_type="np").images[0]
    assert made.shape == (128, 128, 3) and np.isfinite(made).all() and 0.01 < made.std() < 0.5


def test_the_autoencoder_keeps_a_kind_it_was_not_trained_on() -> None:
    base = load_base_model(str(BUNDLED), name="mini")
    real = [Image.fromarray(weld_spatter(np.random.default_rng(index), 128)) for index in range(4)]
    kept = round_trip(base, real, FitPolicy.RESIZE)
    errors = [np.asarray(a, float) - np.asarray(b, float) for a, b in zip(real, kept, strict=True)]
    psnr = 10 * np.log10(255**2 / np.mean(np.square(errors)))
    assert psnr > 28


def test_the_extractor_puts_two_kinds_farther_apart_than_two_halves_of_one() -> None:
    extractor = load_mini(BUNDLED / "extractor")
    first, second = (extract(extractor, drawn("cracks", 40, first)) for first in (0, 40))
    other = extract(extractor, drawn("patches", 40))
    assert frechet_distance(first, other) > 5 * frechet_distance(first, second)
