"""The cached latents: what they are, and that the pixels of all variants are never there together."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from models.adaptation.latent_cache import LatentFile, cached_latents
from models.diffusion import latents
from models.diffusion.base_model import BaseModel
from models.errors import Interrupted
from models.imaging.fit import FitPolicy


def test_an_interrupted_run_encodes_no_batch_twice_and_tells_of_each(
    tiny_base: BaseModel, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(latents, "_PIXELS", 4 * tiny_base.native_size_px**2)
    encode = latents.encode
    sizes: list[int] = []
    total = 3 * len(pictures)
    told: list[tuple[int, int]] = []

    def noted(base: BaseModel, pixel_values: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixel_values))
        return encode(base, pixel_values)

    def stopped_after_two_batches(stage: str, done: int, total: int, **figures: float) -> None:
        told.append((done, total))
        if len(told) == 3:
            raise Interrupted("stop")

    def run(identity: str) -> torch.Tensor:
        file = LatentFile(tmp_path, identity, interval_seconds=1e9)
        return cached_latents(tiny_base, pictures, FitPolicy.RESIZE, 3, 1, file, stopped_after_two_batches)

    monkeypatch.setattr(latents, "encode", noted)
    with pytest.raises(Interrupted):
        run("this job")
    found = run("this job")
    assert sum(sizes) == total
    assert told[3:] == [(done // 3, len(pictures)) for done in (*range(8, total, 4), total)]
    assert torch.equal(run("this job"), found) and sum(sizes) == total
    assert torch.equal(run("another"), found) and sum(sizes) == 2 * total
    assert torch.equal(cached_latents(tiny_base, pictures, FitPolicy.RESIZE, 3, 1), found)


def test_pixels_are_encoded_a_batch_at_a_time_in_the_order_of_the_images(
    tiny_base: BaseModel, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    encode = latents.encode

    def noted(base: BaseModel, pixel_values: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixel_values))
        return encode(base, pixel_values)

    monkeypatch.setattr(latents, "encode", noted)
    monkeypatch.setattr(latents, "_PIXELS", 4 * tiny_base.native_size_px**2)
    found = cached_latents(tiny_base, pictures, FitPolicy.RESIZE, 3, seed=1)
    assert max(sizes) == 4 and sum(sizes) == len(found) == 3 * len(pictures)
    unchanged = latents.fitted(tiny_base, pictures, FitPolicy.RESIZE)
    assert torch.allclose(found[::3], encode(tiny_base, unchanged), atol=1e-5)
