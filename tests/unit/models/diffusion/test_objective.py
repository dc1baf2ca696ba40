"""The training target against the formulas of its papers."""

import pytest
import torch

from models.diffusion.base_model import BaseModel
from models.diffusion.objective import denoising_loss, sample_timesteps, target


def test_velocity_is_alpha_noise_minus_sigma_sample(tiny_base: BaseModel) -> None:
    tiny_base.noise_scheduler.register_to_config(prediction_type="v_prediction")
    latents, noise, timesteps = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([10, 900])
    alpha_bar = tiny_base.noise_scheduler.alphas_cumprod[timesteps][:, None, None, None]
    expected = alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * latents
    assert torch.allclose(target(tiny_base, latents, noise, timesteps), expected, atol=1e-6)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample"])
def test_the_other_targets_are_what_they_say(tiny_base: BaseModel, prediction_type: str) -> None:
    tiny_base.noise_scheduler.register_to_config(prediction_type=prediction_type)
    latents, noise = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    expected = noise if prediction_type == "epsilon" else latents
    assert torch.equal(target(tiny_base, latents, noise, torch.tensor([5])), expected)


def test_the_loss_of_a_network_that_answers_zero_is_the_targets_mean_square(tiny_base: BaseModel) -> None:
    with torch.no_grad():
        tiny_base.unet.conv_out.weight.zero_()
        tiny_base.unet.conv_out.bias.zero_()
    noise = torch.randn(2, *tiny_base.latent_shape)
    prompt = tiny_base.encode_prompt("a pit")
    loss = denoising_loss(tiny_base, tiny_base.unet, torch.randn_like(noise), noise, torch.tensor([3, 700]), prompt)
    assert float(loss) == pytest.approx(float(noise.square().mean()), rel=1e-5)


def test_timesteps_fall_one_to_each_part_of_the_schedule() -> None:
    drawn = sample_timesteps(8, 1000, torch.Generator().manual_seed(0))
    assert [int(value) // 125 for value in drawn] == list(range(8))
