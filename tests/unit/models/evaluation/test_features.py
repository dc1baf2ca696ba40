from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import ExtractorUnusable
from models.evaluation.features import FeatureExtractor, extract
from models.evaluation.mini import MiniConfig, MiniNetwork, load_mini, save_mini

TINY = MiniConfig(channels=(8, 8, 16, 16), input_px=32)


@pytest.fixture
def extractor(tmp_path: Path) -> FeatureExtractor:
    torch.manual_seed(0)
    save_mini(MiniNetwork(TINY), tmp_path)
    return load_mini(tmp_path)


def pictures(n: int, side: int = 32) -> list[Image.Image]:
    rng = np.random.default_rng(side)
    return [Image.fromarray(rng.integers(0, 256, (side, side), dtype=np.uint8)) for _ in range(n)]


def test_order_is_kept_across_sizes_and_batches(extractor: FeatureExtractor) -> None:
    mixed = [image for pair in zip(pictures(5), pictures(5, side=50), strict=True) for image in pair]
    together, one_by_one = extract(extractor, mixed, batch_size=4), extract(extractor, mixed, batch_size=1)
    assert together.shape == (10, extractor.dim) and together.dtype == np.float64
    assert together == pytest.approx(one_by_one, abs=1e-5)
    assert extract(extractor, []).shape == (0, extractor.dim)


def test_features_that_are_not_finite_are_refused(extractor: FeatureExtractor) -> None:
    with pytest.raises(ExtractorUnusable, match="not finite"):
        extract(extractor, [torch.full((1, 3, 32, 32), float("nan"))])
