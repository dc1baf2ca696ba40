"""Latents of the drawn surfaces, encoded once by the frozen autoencoder: what decoder and denoiser learn from."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from models.prior.pool import Pool
from models.prior.recipe import Recipe

_ENCODE_BATCH = 64
#: Latents are standardised; bfloat16 rounds otherwise on another device or in another batch.
_ROUNDING = 0.25


def cached_latents(
    recipe: Recipe, pool: Pool, folder: Path, vae: AutoencoderKL, device: str
) -> npt.NDArray[np.float16]:
    """Latents (posterior means) of each surface, encoded once: (N, C, h, w) float16.

    Raises ``ValueError`` where those that are there were made by another autoencoder or of other surfaces.
    """
    path, side = folder / "latents.npy", recipe.resolution_px // 4
    shape = (len(pool.captions), recipe.latent_channels, side, side)
    if not path.exists():
        partial = folder / "latents.partial.npy"
        latents = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        for first in tqdm(range(0, len(pool.captions), _ENCODE_BATCH), desc="latents", unit=f"x{_ENCODE_BATCH}"):
            encoded = _encoded(vae, pool.pixels[first : first + _ENCODE_BATCH], device)
            latents[first : first + len(encoded)] = encoded
        latents.flush()
        partial.rename(path)
    opened: npt.NDArray[np.float16] = np.load(path, mmap_mode="r")
    if opened.shape != shape or not np.allclose(opened[0], _encoded(vae, pool.pixels[:1], device)[0], atol=_ROUNDING):
        raise ValueError(f"{path} is not of this autoencoder and these surfaces: delete it, and it is made anew.")
    return opened


@torch.no_grad()
def _encoded(vae: AutoencoderKL, pixels: npt.NDArray[np.uint8], device: str) -> npt.NDArray[np.float32]:
    """(B, H, W, 3) to (B, C, h, w)."""
    batch = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.autocast(device.split(":")[0], torch.bfloat16):
        mean = vae.encode(batch.to(device)).latent_dist.mean
    encoded: npt.NDArray[np.float32] = mean.float().cpu().numpy()
    return encoded
