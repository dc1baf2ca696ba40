"""Generation: image-oriented (SDEdit, Meng et al. 2022) and from noise, by one loop.

An image is a function of (job seed, index): its seed, its noise and its source follow from them. Batches only decide
how many are computed at once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from models.adapter import Adapter
from models.diffusion import latents as latent_space
from models.diffusion.base_model import BaseModel
from models.diffusion.seeding import generator, image_noise, image_seed
from models.diffusion.timesteps import denoising_steps, equivalent_strength, solver
from models.errors import DatasetUnusable, InvalidSettings
from models.generation.config import GenerationConfig, GenerationMode
from models.imaging.arrays import deliver as delivered
from models.imaging.fit import Fitted
from models.progress import Progress


@dataclass(frozen=True)
class Sample:
    """One image in the size and mode of the originals. ``source_index`` counts in the given sources."""

    index: int
    image: Image.Image
    seed: int
    source_index: int | None


@dataclass(frozen=True)
class GenerationOutcome:
    """``equivalent_strength``: what gives the same ``denoising_steps`` in stock diffusers."""

    denoising_steps: int
    equivalent_strength: float
    stage_seconds: dict[str, float]


@dataclass(frozen=True)
class _Prompts:
    """(1, L, D) each, float32, on the device."""

    conditional: torch.Tensor
    unconditional: torch.Tensor


def source_of(index: int, num_sources: int, seed: int) -> int:
    """Which source image ``index`` starts from: every source once a round, in an order drawn for the round."""
    cycle, place = divmod(index, num_sources)
    return int(torch.randperm(num_sources, generator=generator(seed, "sources", cycle))[place])


def generate(
    base: BaseModel,
    adapter: Adapter | None,
    sources: Sequence[Image.Image],
    config: GenerationConfig,
    *,
    num_images: int,
    seed: int,
    prompt: str | None = None,
    deliver: Callable[[Sample], None],
    progress: Progress,
    first_index: int = 0,
) -> GenerationOutcome:
    """Make images ``first_index`` .. ``num_images - 1`` and hand each to ``deliver`` as it is done.

    ``sources``: real images of the class; from noise they only tell size and mode. The adapter must be in the U-Net's
    ``LoraSlot``; without one, ``prompt`` is what the frozen base model is asked for. Raises ``InvalidSettings``,
    ``DatasetUnusable`` without sources, ``NonFiniteLoss`` for a broken image, and whatever the callbacks raise.
    """
    if not sources:
        raise DatasetUnusable("There is no source image.", field="sources", remedy="Give at least one real image.")
    strength = config.strength if config.mode is GenerationMode.IMAGE_ORIENTED else 1.0
    steps = denoising_steps(config.num_inference_steps, strength)
    started = time.monotonic()
    prompts = _prompts(base, adapter, prompt)
    source_latents = _source_latents(base, sources, config)
    seconds = {"encoding": time.monotonic() - started, "denoising": 0.0, "delivering": 0.0}
    for first in range(first_index, num_images, config.batch_size):
        indices = range(first, min(first + config.batch_size, num_images))
        chosen = [source_of(index, len(sources), seed) for index in indices]
        seeds = [image_seed(seed, index) for index in indices]
        begun = time.monotonic()
        starts = source_latents[chosen] if source_latents is not None else None
        latents = denoise(base, prompts.conditional, prompts.unconditional, starts, seeds, steps, config, progress)
        between = time.monotonic()
        pixels = latent_space.decode(base, latents).cpu()
        for index, image_pixels, source, own_seed in zip(indices, pixels, chosen, seeds, strict=True):
            image = delivered(image_pixels, Fitted.of(sources[source], config.fit))
            deliver(Sample(index, image, own_seed, source if starts is not None else None))
        progress("images", indices[-1] + 1, num_images)
        seconds["denoising"] += between - begun
        seconds["delivering"] += time.monotonic() - between
    return GenerationOutcome(steps, equivalent_strength(config.num_inference_steps, steps), seconds)


def _prompts(base: BaseModel, adapter: Adapter | None, prompt: str | None) -> _Prompts:
    if adapter is not None:
        return _Prompts(adapter.prompt_embeds.to(base.device), adapter.negative_prompt_embeds.to(base.device))
    if prompt is None:
        raise InvalidSettings("Without an adapter a prompt is needed.", field="prompt", remedy="Describe the image.")
    return _Prompts(base.encode_prompt(prompt), base.encode_prompt(""))


def _source_latents(base: BaseModel, sources: Sequence[Image.Image], config: GenerationConfig) -> torch.Tensor | None:
    """All sources encoded, once a job: (N, C, h, w); none where images start from noise."""
    if config.mode is GenerationMode.FROM_NOISE:
        return None
    return latent_space.encode(base, latent_space.fitted(base, sources, config.fit))


@torch.inference_mode()
def denoise(
    base: BaseModel,
    prompt_embeds: torch.Tensor,
    negative_prompt_embeds: torch.Tensor,
    source_latents: torch.Tensor | None,
    seeds: Sequence[int],
    steps: int,
    config: GenerationConfig,
    progress: Progress,
) -> torch.Tensor:
    """One batch, from noised sources (or noise) to clean latents: (B, C, h, w) float32.

    ``source_latents``: (B, C, h, w) or none; ``seeds``: one an image. The last ``steps`` of the solver's steps are
    taken. Classifier-free guidance (Ho & Salimans 2022) doubles the batch, and is left out where its scale is 1.
    """
    steps_taken = solver(base, config.num_inference_steps, steps)
    timesteps = steps_taken.timesteps[config.num_inference_steps - steps :]
    noise = torch.cat([image_noise(seed, base.latent_shape) for seed in seeds]).to(base.device)
    if source_latents is None:
        latents = noise * float(steps_taken.init_noise_sigma)
    else:
        latents = torch.as_tensor(steps_taken.add_noise(source_latents, noise, timesteps[:1].repeat(len(seeds))))
    guided = config.guidance_scale > 1
    context = prompt_embeds.expand(len(seeds), -1, -1)
    if guided:
        context = torch.cat([negative_prompt_embeds.expand(len(seeds), -1, -1), context])
    context = context.to(base.dtype)
    for number, timestep in enumerate(timesteps, start=1):
        batch = torch.cat([latents, latents]) if guided else latents
        predicted = base.unet(batch.to(base.dtype), timestep, context, return_dict=False)[0].float()
        if guided:
            unconditional, conditional = predicted.chunk(2)
            predicted = unconditional + config.guidance_scale * (conditional - unconditional)
        latents = torch.as_tensor(steps_taken.step(predicted, timestep, latents, return_dict=False)[0])
        progress("denoising", number, steps)
    return latents
