"""The training objective of a diffusion model: predict what the noise schedule's prediction type asks for."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from models.diffusion.base_model import BaseModel
from models.errors import BaseModelUnusable


def sample_timesteps(count: int, num_train_timesteps: int, generator: torch.Generator) -> torch.Tensor:
    """One timestep a sample, stratified over the schedule: (count,) int64 in [0, num_train_timesteps).

    Each falls uniformly; together they cover the schedule evenly, which lowers the loss's variance.
    """
    offsets = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return (offsets * num_train_timesteps).long().clamp(max=num_train_timesteps - 1)


def target(base: BaseModel, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    """What the U-Net should answer: the noise, the velocity (Salimans & Ho 2022) or the sample itself."""
    if base.prediction_type == "epsilon":
        return noise
    if base.prediction_type == "v_prediction":
        return torch.as_tensor(base.noise_scheduler.get_velocity(latents, noise, timesteps))
    if base.prediction_type == "sample":
        return latents
    raise BaseModelUnusable(
        f"prediction_type {base.prediction_type!r} is not known.",
        field="base_model",
        remedy="Register a model with epsilon, v_prediction or sample.",
    )


def denoising_loss(
    base: BaseModel, unet: Callable[..., Any], latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor,
    prompt_embeds: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Mean squared error of the prediction of ``unet``, adapted or not, in float32 (Ho et al. 2020, eq. 14).

    ``latents``, ``noise``: (B, C, h, w) float32, scaled; ``timesteps``: (B,); ``prompt_embeds``: (1, L, D), the same
    prompt for the whole batch. Returns a scalar.
    """
    noisy_latents = base.noise_scheduler.add_noise(latents, noise, timesteps)
    context = prompt_embeds.to(base.dtype).expand(len(latents), -1, -1)
    predicted = unet(noisy_latents.to(base.dtype), timesteps, context, return_dict=False)[0]
    return F.mse_loss(predicted.float(), target(base, latents, noise, timesteps).float())
