"""Stage 1: the autoencoder, on crops of drawn surfaces.

L1 alone averages grain away, so the log-magnitude spectra of overlapping windows (8, 16 and 32 px) must agree too:
they ask for the right amount of texture without asking for every grain in its place.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from models.prior.loop import Training
from models.prior.pool import Pool
from models.prior.recipe import Recipe, build_vae, seeded


def window_spectrum(grey: torch.Tensor, window_px: int) -> torch.Tensor:
    """Log-magnitude spectra of Hann-weighted windows at half-window stride.

    ``grey``: (B, 1, H, W) float32. Returns (B, windows, window_px, window_px // 2 + 1) float32.
    """
    return torch.log(_magnitudes(grey, window_px) + 3e-3)


def window_power(grey: torch.Tensor, window_px: int) -> torch.Tensor:
    """Log of the power of each frequency, averaged over an image's windows: (B, window_px, window_px // 2 + 1)."""
    return 0.5 * torch.log(_magnitudes(grey, window_px).square().mean(1) + 1e-5)


def _magnitudes(grey: torch.Tensor, window_px: int) -> torch.Tensor:
    tiles = F.unfold(grey, window_px, stride=window_px // 2).transpose(1, 2)
    hann = torch.hann_window(window_px, device=grey.device)
    tiles = tiles.unflatten(2, (window_px, window_px)) * (hann[:, None] * hann[None, :])
    magnitudes: torch.Tensor = torch.fft.rfft2(tiles, norm="ortho").abs()
    return magnitudes


def crops(pool: Pool, recipe: Recipe, step: int) -> torch.Tensor:
    """The crops of training step ``step``: (B, 3, crop, crop) float32 in [-1, 1], flipped and turned at random."""
    rng = np.random.default_rng([recipe.seed, 1, step])
    size, crop = recipe.resolution_px, recipe.vae_crop_px
    batch = []
    for index in rng.integers(len(pool.captions), size=recipe.vae_batch):
        top, left = rng.integers(size - crop + 1, size=2)
        tile = pool.pixels[index, top : top + crop, left : left + crop]
        tile = np.rot90(tile, int(rng.integers(4)))
        batch.append(tile[::-1] if rng.random() < 0.5 else tile)
    stacked = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float()
    return stacked / 127.5 - 1


def training(recipe: Recipe, pool: Pool, folder: Path, device: str) -> Training:
    """The autoencoder's training, resumed from ``folder`` if it was begun there."""
    torch.manual_seed(recipe.seed)
    vae = build_vae(recipe).to(device)

    def step(number: int) -> tuple[torch.Tensor, dict[str, float]]:
        pixel_values = crops(pool, recipe, number).to(device)
        with torch.autocast(device.split(":")[0], torch.bfloat16):
            posterior = vae.encode(pixel_values).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=seeded(recipe.seed + number)).to(device)
            decoded = vae.decode((posterior.mean + posterior.std * noise).to(torch.bfloat16)).sample
        decoded, mean, logvar = decoded.float(), posterior.mean.float(), posterior.logvar.float()
        pixel = F.l1_loss(decoded, pixel_values)
        kl = 0.5 * (mean.pow(2) + logvar.exp() - 1 - logvar).mean()
        grey, real = decoded.mean(1, keepdim=True), pixel_values.mean(1, keepdim=True)
        spectrum = torch.stack(
            [F.l1_loss(window_spectrum(grey, w), window_spectrum(real, w)) for w in (8, 16, 32)]
        ).mean()
        loss = pixel + recipe.vae_spectrum_weight * spectrum + recipe.vae_kl_weight * kl
        return loss, {"pixel": pixel.item(), "spectrum": spectrum.item(), "kl": kl.item()}

    return Training("vae", folder, vae, step, recipe.vae_lr, 0.998)


@torch.no_grad()
def standardise_latents(vae: AutoencoderKL, pixel_values: torch.Tensor) -> None:
    """Give every latent channel zero mean and unit variance over ``pixel_values``, in place and without loss.

    The affine map is folded into the 1x1 convolutions on either side of the latents, so decoded images stay the same
    while the denoiser sees channels of equal weight and ``scaling_factor`` is 1. (B, 3, H, W) float32 in [-1, 1].
    """
    channels = int(vae.config.latent_channels)
    means = torch.cat([vae.encode(part).latent_dist.mean for part in pixel_values.split(64)])
    shift, scale = means.mean((0, 2, 3)), means.std((0, 2, 3))
    into, out_of = vae.quant_conv, vae.post_quant_conv
    into.weight[:channels] /= scale[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - shift) / scale
    into.bias[channels:] -= 2 * scale.log()
    out_of.bias += out_of.weight[:, :, 0, 0] @ shift
    out_of.weight *= scale[None, :, None, None]


def freeze(recipe: Recipe, pool: Pool, folder: Path) -> None:
    """Fix the averaged autoencoder, standardised, as ``vae_frozen.pt``: from here on latents stand on it."""
    state = torch.load(folder / "vae.pt", map_location="cpu", weights_only=True)
    vae = build_vae(recipe)
    vae.load_state_dict(state["average"])
    vae.requires_grad_(False).eval()
    pixels = torch.from_numpy(np.array(pool.pixels[:512])).permute(0, 3, 1, 2)
    standardise_latents(vae, pixels.float() / 127.5 - 1)
    torch.save(vae.state_dict(), folder / "vae_frozen.pt")


def frozen_vae(recipe: Recipe, folder: Path, device: str) -> AutoencoderKL:
    """The autoencoder that ``freeze`` fixed in ``folder``."""
    vae = build_vae(recipe)
    vae.load_state_dict(torch.load(folder / "vae_frozen.pt", map_location="cpu", weights_only=True))
    return vae.requires_grad_(False).eval().to(device)
