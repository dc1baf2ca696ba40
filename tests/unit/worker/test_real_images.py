"""What is looked up of stored real images for every job."""

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from models.evaluation.copies import CopyGate
from models.evaluation.pixel_threshold import handled
from service.contracts.quality import CopySummary
from service.store.artifacts import LocalArtifacts
from worker.feature_cache import FeatureCache
from worker.real_images import copies_among
from worker.recent import Recent


class FarApart:
    """Features in which no two images are alike, so that pixels alone can tell a copy."""

    name, digest, resize_rule, dim = "far-apart", "0" * 64, "none", 16

    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        seeds = (pixel_values.double().flatten(1).sum(1) * 1e6).long().abs()
        return torch.stack([torch.randn(16, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds])


def texture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(60, 200, (16, 16)).astype(np.uint8)
    return Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC)


def test_copies_are_counted_by_pixels_too_and_unseen_images_are_none(tmp_path: Path) -> None:
    artifacts, rng, told = LocalArtifacts(tmp_path), np.random.default_rng(0), []

    def stored(image: Image.Image) -> str:
        stream = BytesIO()
        image.save(stream, "PNG")
        return str(artifacts.put_bytes(stream.getvalue()).sha256)

    gates: Recent[CopyGate] = Recent(2**26, lambda gate: gate.nbytes)
    workshop: Any = SimpleNamespace(artifacts=artifacts, features=FeatureCache(artifacts), copy_gates=gates)
    originals = [texture(seed) for seed in range(20)]
    real = [stored(image) for image in originals]
    moved = [stored(handled(image, (0.05, -0.05), rng)) for image in originals[:3]]
    unseen, extractor = [stored(texture(seed)) for seed in range(100, 140)], FarApart()

    def counted(digests: list[str]) -> CopySummary:
        features = workshop.features.features(extractor, digests)
        return copies_among(workshop, extractor, digests, features, real, lambda: told.append(1))

    assert (counted(moved).num_copies, counted(moved).num_checked) == (3, 3)
    assert counted(unseen).num_copies <= 8  # Each of the two thresholds lets about 5 % of unseen images fail.
    assert len(told) == 2 * 3 + 40
