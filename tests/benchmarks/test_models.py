"""What adaptation, generation and the swap of adapters cost with `mini` and its registered settings."""

import statistics
import time
from pathlib import Path

import pytest
from PIL import Image

from models.adaptation.trainer import adapt
from models.adapter import Adapter, load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.generation.config import GenerationConfig
from models.generation.denoising import Conditioning
from models.generation.engine import Sampler, encode_sources
from models.imaging.fit import FitPolicy
from models.prior.samples import SAMPLE_CLASSES, write_samples
from models.progress import no_progress
from service.registry import BUNDLED_MODEL, BaseModelEntry, load_base_models
from service.settings import Settings
from tests.benchmarks.conftest import Figures
from worker.jobs.adaptation import configured

pytestmark = pytest.mark.benchmark

NUM_REAL, NUM_IMAGES, NUM_SWAPS = 20, 24, 21


@pytest.fixture(scope="module")
def base(mini: Path, entry: BaseModelEntry) -> BaseModel:
    return load_base_model(str(mini), name=BUNDLED_MODEL, bfloat16_on_cpu=entry.bfloat16_on_cpu)


@pytest.fixture(scope="module")
def entry() -> BaseModelEntry:
    return load_base_models(Settings())[BUNDLED_MODEL]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder, images_per_class=NUM_REAL)
    paths = sorted((folder / "train" / next(iter(SAMPLE_CLASSES))).glob("*.png"))
    return [Image.open(path).copy() for path in paths]


@pytest.fixture(scope="module")
def adapter(
    figures: Figures, base: BaseModel, entry: BaseModelEntry, pictures: list[Image.Image],
    tmp_path_factory: pytest.TempPathFactory,
) -> Adapter:  # fmt: skip
    """Made once; making it is the first figure."""
    folder = tmp_path_factory.mktemp("adapter")
    began = time.perf_counter()
    outcome = adapt(
        base, pictures, configured(entry.adaptation), placeholder_token="<chatter-1>", out_dir=folder,
        checkpoint_dir=folder / "checkpoints", progress=no_progress,
    )  # fmt: skip
    figures.add(f"adaptation of one class, {NUM_REAL} images", time.perf_counter() - began, "s", below=90)
    for stage, seconds in outcome.stage_seconds.items():
        figures.add(f"  {stage.replace('_', ' ')}", seconds, "s")
    return load_adapter(folder)


def test_images_are_generated(
    figures: Figures, base: BaseModel, entry: BaseModelEntry, adapter: Adapter, pictures: list[Image.Image]
) -> None:
    chosen = entry.generation
    config = GenerationConfig(
        strength=chosen.strength, guidance_scale=chosen.guidance_scale, num_inference_steps=chosen.num_inference_steps
    )
    began = time.perf_counter()
    sources = encode_sources(base, pictures, FitPolicy.RESIZE)
    sampler = Sampler(base, Conditioning.of_adapter(adapter, base), sources, config, 0, no_progress)
    made = list(sampler.samples(range(NUM_IMAGES)))
    figures.add(f"generation of {NUM_IMAGES} images", time.perf_counter() - began, "s", below=20)
    assert len(made) == NUM_IMAGES


def test_a_resident_adapter_is_swapped(figures: Figures, base: BaseModel, adapter: Adapter) -> None:
    seconds = []
    for _ in range(NUM_SWAPS):
        began = time.perf_counter()
        Conditioning.of_adapter(adapter, base)
        seconds.append(time.perf_counter() - began)
    figures.add("swap of a resident adapter, median", 1000 * statistics.median(seconds), "ms", below=100)
