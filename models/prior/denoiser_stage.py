"""Stage 4: U-Net and text encoder together, on latents that were encoded once."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, DPMSolverMultistepScheduler
from PIL import Image
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextModel, CLIPTokenizer

from models.prior.decoder_stage import finished_vae
from models.prior.latents import cached_latents
from models.prior.loop import Training
from models.prior.pool import Pool
from models.prior.recipe import NOISE_SCHEDULE, Recipe, build_text_encoder, build_unet, seeded
from models.prior.vae_stage import frozen_vae
from models.prior.vocabulary import trained_tokenizer

_SAMPLED_PROMPTS = ("", "a photo of scratches", "a photo of patches", "a photo of cracks", "a photo of a defect",
                    "a photo of grey fine metal surface with many small dark pits",
                    "a photo of bright rough metal surface with some large dark stains",
                    "a photo of dark cloudy metal surface with no marks")  # fmt: skip


def caption_of(full: str, rng: np.random.Generator, dropout: float) -> str:
    """The caption used this time: whole, short, only "a defect", or (with ``dropout``) empty.

    Adaptation prompts with "A photo of <token>", so short captions must be nothing unusual to the model.
    """
    kind = rng.random()
    if kind < dropout:
        return ""
    mark = full.partition(" surface with ")[2]
    if kind < dropout + 0.25:
        return f"a photo of {mark.split(' ', 3)[-1]}" if mark.count(" ") >= 3 else f"a photo of {mark}"
    if kind < dropout + 0.35 and mark != "no marks":
        return "a photo of a defect"
    return full


class Denoiser(nn.Module):
    """The two networks that are trained together."""

    def __init__(self, recipe: Recipe, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        bos, eos = int(tokenizer.bos_token_id), int(tokenizer.eos_token_id)
        self.unet = build_unet(recipe)
        self.text_encoder: CLIPTextModel = build_text_encoder(recipe, len(tokenizer), bos, eos)


def tokenizer_of(recipe: Recipe, pool: Pool) -> CLIPTokenizer:
    """The tokenizer of this pool's captions."""
    return trained_tokenizer([*pool.captions, *["a photo of a defect"] * 100], recipe.max_tokens)


def min_snr_weights(noise_scheduler: DDPMScheduler, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Min-SNR-gamma weights for v-prediction (Hang et al. 2023): min(SNR, gamma) / (SNR + 1), of shape (B, 1, 1, 1)."""
    alphas = noise_scheduler.alphas_cumprod.to(timesteps.device)[timesteps]
    snr = alphas / (1 - alphas)
    weights: torch.Tensor = snr.clamp(max=gamma) / (snr + 1) + 1e-3
    return weights[:, None, None, None]


def training(recipe: Recipe, pool: Pool, folder: Path, device: str) -> Training:
    """The denoiser's training, resumed from ``folder`` if it was begun there."""
    vae = frozen_vae(recipe, folder, device)
    latents = cached_latents(recipe, pool, folder, vae, device)
    tokenizer = tokenizer_of(recipe, pool)
    torch.manual_seed(recipe.seed + 3)
    module = Denoiser(recipe, tokenizer).to(device)
    noise_scheduler = DDPMScheduler(**_training_schedule())

    def step(number: int) -> tuple[torch.Tensor, dict[str, float]]:
        rng, draws = np.random.default_rng([recipe.seed, 3, number]), seeded(recipe.seed + 7919 * number)
        chosen = np.sort(rng.integers(len(latents), size=recipe.denoiser_batch))
        clean = torch.from_numpy(latents[chosen].astype(np.float32)).to(device)
        captions = [caption_of(pool.captions[index], rng, recipe.caption_dropout) for index in chosen]
        ids = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(device)
        noise = torch.randn(clean.shape, generator=draws).to(device)
        offsets = torch.arange(len(clean)) + torch.rand(len(clean), generator=draws)
        timesteps = (offsets * 1000 / len(clean)).long().clamp(max=999).to(device)
        with torch.autocast(device.split(":")[0], torch.bfloat16), _attention(device):
            context = module.text_encoder(ids)[0]
            predicted = module.unet(noise_scheduler.add_noise(clean, noise, timesteps), timesteps, context).sample
        error = (predicted.float() - noise_scheduler.get_velocity(clean, noise, timesteps)).square()
        loss = (min_snr_weights(noise_scheduler, timesteps, recipe.min_snr_gamma) * error).mean()
        return loss, {"mse": error.mean().item()}

    return Training("denoiser", folder, module, step, recipe.denoiser_lr, recipe.ema_decay, recipe.cooldown_share)


def _attention(device: str) -> AbstractContextManager[None]:
    """On a CPU without matrix units the plain kernel: torch's fused one costs a fifth of a bf16 step there."""
    return sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()


def _training_schedule() -> dict[str, object]:
    return {key: value for key, value in NOISE_SCHEDULE.items() if key not in ("set_alpha_to_one", "steps_offset")}


def trained_denoiser(recipe: Recipe, pool: Pool, folder: Path) -> tuple[Denoiser, CLIPTokenizer, int]:
    """The averaged networks of the checkpoint in ``folder``, their tokenizer, and the number of images seen."""
    tokenizer = tokenizer_of(recipe, pool)
    state = torch.load(folder / "denoiser.pt", map_location="cpu", weights_only=True)
    module = Denoiser(recipe, tokenizer)
    module.load_state_dict(state["average"])
    return module.requires_grad_(False).eval(), tokenizer, state["num_steps"] * recipe.denoiser_batch


@torch.inference_mode()
def write_samples(recipe: Recipe, pool: Pool, folder: Path, device: str) -> None:
    """A sheet of samples from noise, a row a prompt, drawn with the averaged weights: ``samples.png``."""
    module, tokenizer, _ = trained_denoiser(recipe, pool, folder)
    module.to(device)
    vae = finished_vae(recipe, folder, device)
    noise_scheduler = DDPMScheduler(**_training_schedule())
    rows = []
    for prompt in _SAMPLED_PROMPTS:
        solver = DPMSolverMultistepScheduler.from_config(noise_scheduler.config)
        rows.append(_sampled_row(module, vae, tokenizer, prompt, device, solver))
    sheet = torch.cat(rows, dim=0)
    Image.fromarray(sheet.numpy()).save(folder / "samples.png")


def _sampled_row(
    module: Denoiser, vae: AutoencoderKL, tokenizer: CLIPTokenizer, prompt: str, device: str,
    solver: DPMSolverMultistepScheduler,
) -> torch.Tensor:  # fmt: skip
    """Eight samples of one prompt side by side: (H, 8 W, 3) uint8."""
    side = int(module.unet.config.sample_size)
    latents = torch.randn((8, int(module.unet.config.in_channels), side, side), generator=seeded(1)).to(device)
    ids = tokenizer([prompt] * 8, padding="max_length", return_tensors="pt").input_ids.to(device)
    context = module.text_encoder(ids)[0]
    solver.set_timesteps(20, device=device)
    for timestep in solver.timesteps:
        predicted = module.unet(latents, timestep, context).sample
        latents = solver.step(predicted, timestep, latents).prev_sample
    pixels = vae.decode(latents).sample.float().cpu()
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return torch.cat(list(levels.permute(0, 2, 3, 1)), dim=1)
