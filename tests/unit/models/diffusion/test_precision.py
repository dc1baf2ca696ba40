"""Arithmetic in bfloat16 changes speed and rounding, and is told."""

from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from models.diffusion import base_model, latents
from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.lora import UNET_TARGETS


@pytest.fixture
def cast(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    """The tiny model in bfloat16, on any CPU: without the instructions it is slow, not wrong."""
    monkeypatch.setattr(base_model, "has_bfloat16", lambda device: True)
    return load_base_model(str(tiny_folder), name="tiny", bfloat16_on_cpu=True)


@torch.no_grad()
def test_it_answers_what_float32_answers_but_for_rounding(cast: BaseModel, tiny_base: BaseModel) -> None:
    noisy, prompt = torch.randn(2, *tiny_base.latent_shape), tiny_base.encode_prompt("a pit").expand(2, -1, -1)
    exact, rounded = (base.unet(noisy, 5, prompt, return_dict=False)[0] for base in (tiny_base, cast))
    assert rounded.dtype is torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.02 * float(exact.abs().max()))
    exact, rounded = (latents.decode(base, noisy) for base in (tiny_base, cast))
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02 * float(exact.abs().max()))


@torch.no_grad()
def test_weights_that_are_stored_rounded_give_what_autocast_gives(cast: BaseModel, tiny_base: BaseModel) -> None:
    noisy, prompt = torch.randn(2, *tiny_base.latent_shape), tiny_base.encode_prompt("a pit").expand(2, -1, -1)
    assert cast.unet.conv_in.weight.dtype is torch.bfloat16
    tiny_base.unet.set_attn_processor(AttnProcessor())
    with torch.autocast("cpu", torch.bfloat16):
        expected = tiny_base.unet(noisy, 5, prompt, return_dict=False)[0]
    assert torch.equal(cast.unet(noisy, 5, prompt, return_dict=False)[0], expected)


def test_what_is_trained_or_begun_with_stays_float32(cast: BaseModel, tiny_base: BaseModel) -> None:
    targets = tuple(f"{target}.weight" for target in UNET_TARGETS)
    kept = [weight.dtype for name, weight in cast.unet.named_parameters() if name.endswith(targets)]
    assert kept and set(kept) == {torch.float32}
    assert torch.equal(cast.encode_prompt("a pit"), tiny_base.encode_prompt("a pit"))
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    assert latents.encode(cast, picture).dtype is torch.float32
    torch.testing.assert_close(latents.encode(cast, picture), latents.encode(tiny_base, picture))


def test_gradients_of_the_prompt_are_those_of_float32_but_for_rounding(cast: BaseModel, tiny_base: BaseModel) -> None:
    noisy, gradients = torch.randn(2, *tiny_base.latent_shape), []
    for base in (tiny_base, cast):
        prompt = tiny_base.encode_prompt("a pit").requires_grad_()
        base.unet(noisy, 5, prompt.expand(2, -1, -1), return_dict=False)[0].float().square().mean().backward()
        assert prompt.grad is not None and prompt.grad.dtype is torch.float32
        gradients.append(prompt.grad.flatten())
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


def test_the_precision_is_part_of_what_the_model_is(cast: BaseModel, tiny_base: BaseModel) -> None:
    assert (tiny_base.precision, cast.precision) == ("float32", "bfloat16 autocast")
    assert tiny_base.identity != cast.identity


def test_a_cpu_without_the_instructions_computes_in_float32(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_model, "has_bfloat16", lambda device: False)
    assert load_base_model(str(tiny_folder), bfloat16_on_cpu=True).precision == "float32"
