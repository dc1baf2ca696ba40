"""Between pictures and latents."""

import pytest
import torch

from models.diffusion import latents
from models.diffusion.base_model import BaseModel


def test_the_vae_is_never_given_more_pixels_at_once_than_its_bound(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = tiny_base.native_size_px
    pixels = torch.rand(5, 3, side, side)
    given: list[int] = []
    whole = latents.encode(tiny_base, pixels)
    monkeypatch.setattr(latents, "_PIXELS", 2 * side**2)
    tiny_base.vae.encoder.register_forward_pre_hook(lambda _, inputs: given.append(len(inputs[0])))
    torch.testing.assert_close(latents.encode(tiny_base, pixels), whole, rtol=1e-4, atol=1e-5)
    assert given == [2, 2, 1]
    monkeypatch.setattr(latents, "_PIXELS", side**2 // 2)  # an image that is larger than the bound goes alone
    assert latents.at_once(tiny_base) == 1
