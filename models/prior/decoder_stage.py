"""Stage 2: the decoder further, on latents that stay as they are, for the grain that they cannot hold.

Where grain cannot be known, L1 between log-magnitudes asks for the median of what may be there, which is 1.6 dB below
the mean power of Rayleigh-distributed magnitudes. So here the power of each frequency, averaged over the windows of an
image, must agree as well. Power alone is had most cheaply by a dot in every latent's corner: so what is left of an
image above its local mean must be the same, in mean and in power, at each of the 16 places that a pixel has in its
latent; as evenly spread as in the original, or a few loud dots would do for grain; and as loud along the image's frame,
which no window sees and zero padding dulls.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from models.prior.latents import cached_latents
from models.prior.loop import Training
from models.prior.pool import Pool
from models.prior.recipe import Recipe
from models.prior.vae_stage import frozen_vae, window_power, window_spectrum

_DOWNSAMPLING = 4
#: About the posterior's largest deviation of any channel: the decoder shall not lean on digits that a denoiser does not
#: give.
_LATENT_NOISE = 0.01
_WINDOWS_PX = (8, 16, 32)
_LOCAL_PX = 9
_FRAME_PX = 4


def decoder_of(vae: AutoencoderKL) -> nn.Sequential:
    """The half that turns latents into pixels; training it leaves every latent what it was."""
    return nn.Sequential(vae.post_quant_conv, vae.decoder)


def training(recipe: Recipe, pool: Pool, folder: Path, device: str) -> Training:
    """The decoder's training, from the frozen autoencoder or resumed from ``folder``."""
    vae = frozen_vae(recipe, folder, device)
    latents = cached_latents(recipe, pool, folder, vae, device)
    decoder = decoder_of(vae).requires_grad_(True)
    crop = recipe.decoder_crop_px
    side, room = crop // _DOWNSAMPLING, (recipe.resolution_px - crop) // _DOWNSAMPLING

    def step(number: int) -> tuple[torch.Tensor, dict[str, float]]:
        rng = np.random.default_rng([recipe.seed, 4, number])
        some_latents, some_pixels = [], []
        for index in rng.integers(len(latents), size=recipe.decoder_batch):
            row, column = rng.integers(room + 1, size=2)
            top, left = row * _DOWNSAMPLING, column * _DOWNSAMPLING
            some_latents.append(latents[index, :, row : row + side, column : column + side])
            some_pixels.append(pool.pixels[index, top : top + crop, left : left + crop])
        clean = torch.from_numpy(np.stack(some_latents).astype(np.float32))
        noise = torch.from_numpy(rng.normal(0, _LATENT_NOISE, clean.shape).astype(np.float32))
        real = torch.from_numpy(np.stack(some_pixels)).permute(0, 3, 1, 2).float().to(device) / 127.5 - 1
        with torch.autocast(device.split(":")[0], torch.bfloat16):
            decoded = decoder((clean + noise).to(device))
        return _loss(recipe, decoded.float(), real)

    return Training("decoder", folder, decoder, step, recipe.decoder_lr, 0.998, recipe.cooldown_share)


def lattice(grey: torch.Tensor) -> torch.Tensor:
    """Mean and log root mean square of the detail of (B, 1, H, W) at each place in a latent: (B, 32).

    Means are in units of the image's own detail. Without a lattice all means are 0 and all powers equal.
    """
    places = F.pixel_unshuffle(_detail(grey), _DOWNSAMPLING).flatten(2)
    power = places.square().mean(2) + 1e-5
    return torch.cat([places.mean(2) / power.mean(1, keepdim=True).sqrt().detach(), 0.5 * power.log()], dim=1)


def evenness(grey: torch.Tensor) -> torch.Tensor:
    """Mean of the detail's magnitude over its root mean square, (B,): 0.80 for Gaussian grain, less for sparse dots."""
    detail = _detail(grey).flatten(1)
    return detail.abs().mean(1) / (detail.square().mean(1) + 1e-5).sqrt()


def frame(grey: torch.Tensor) -> torch.Tensor:
    """Log root mean square of the detail along the outermost rings of pixels of (B, 1, H, W) images: (B, 4)."""
    power = _detail(grey).square()
    rings = []
    for at in range(_FRAME_PX):
        inner = power[..., at : power.shape[-2] - at, at : power.shape[-1] - at]
        sides = inner[..., 0, :], inner[..., -1, :], inner[..., :, 0], inner[..., :, -1]
        rings.append(0.5 * torch.log(torch.cat(sides, dim=-1).mean((1, 2)) + 1e-5))
    return torch.stack(rings, dim=1)


def _detail(grey: torch.Tensor) -> torch.Tensor:
    return grey - F.avg_pool2d(grey, _LOCAL_PX, 1, _LOCAL_PX // 2, count_include_pad=False)


def _loss(recipe: Recipe, decoded: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """Of (B, 3, H, W) float32 in [-1, 1]."""
    pixel = F.l1_loss(decoded, real)
    ours, theirs = decoded.mean(1, keepdim=True), real.mean(1, keepdim=True)
    spectrum, power = (
        torch.stack([F.l1_loss(of_windows(ours, size), of_windows(theirs, size)) for size in _WINDOWS_PX]).mean()
        for of_windows in (window_spectrum, window_power)
    )
    regular, sparse = F.l1_loss(lattice(ours), lattice(theirs)), F.l1_loss(evenness(ours), evenness(theirs))
    framed = F.l1_loss(frame(ours), frame(theirs))
    of_grain = recipe.decoder_power_weight * (power + regular + framed) + recipe.decoder_evenness_weight * sparse
    figures = {
        "pixel": pixel, "spectrum": spectrum, "power": power, "lattice": regular, "sparse": sparse, "frame": framed,
    }  # fmt: skip
    loss = pixel + recipe.vae_spectrum_weight * spectrum + of_grain
    return loss, {name: value.item() for name, value in figures.items()}


def finished_vae(recipe: Recipe, folder: Path, device: str) -> AutoencoderKL:
    """The autoencoder with its averaged decoder, as it is published."""
    vae = frozen_vae(recipe, folder, device)
    state = torch.load(folder / "decoder.pt", map_location="cpu", weights_only=True)
    decoder_of(vae).load_state_dict(state["average"])
    return vae
