"""The cached latents: what they are, and that the pixels of all variants are never there together."""

import pytest
import torch
from PIL import Image

from models.adaptation.latent_cache import cached_latents
from models.diffusion import latents
from models.diffusion.base_model import BaseModel
from models.imaging.fit import FitPolicy


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
