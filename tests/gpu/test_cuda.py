"""The same main path on a CUDA device: ``pytest -m gpu``."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.trainer import adapt
from models.adapter import load_adapter
from models.diffusion.base_model import load_base_model
from models.generation.config import GenerationConfig
from models.generation.denoising import Conditioning
from models.generation.engine import Sampler, encode_sources
from models.imaging.fit import FitPolicy
from models.progress import no_progress
from tests.fakes.tiny_base_model import build_tiny_base_model

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_class_is_adapted_and_images_are_made_on_the_device(tmp_path: Path, dtype: str) -> None:
    base = load_base_model(str(build_tiny_base_model(tmp_path / "tiny")), device="cuda", dtype=dtype, name="tiny")
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (40, 40), dtype=np.uint8)) for _ in range(5)]
    config = AdaptationConfig(
        TextualInversionConfig(steps=4), LoraTrainingConfig(steps=4, rank=2), variants_per_image=2
    )
    adapt(base, pictures, config, placeholder_token="<pit-1>", out_dir=tmp_path / "adapter",
          checkpoint_dir=tmp_path / "checkpoints", progress=no_progress)  # fmt: skip
    adapter = load_adapter(tmp_path / "adapter")
    sources = encode_sources(base, pictures, FitPolicy.RESIZE)
    config = GenerationConfig(num_inference_steps=5)
    sampler = Sampler(base, Conditioning.of_adapter(adapter, base), sources, config, 1, no_progress)
    samples = sampler.draw(range(3))
    assert [sample.image.size for sample in samples] == [(40, 40)] * 3
