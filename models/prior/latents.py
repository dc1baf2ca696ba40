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


def cached_latents(
    recipe: Recipe, pool: Pool, folder: Path, vae: AutoencoderKL, device: str
) -> npt.NDArray[np.float16]:
    """Latents (posterior means) of each surface, encoded once: (N, C, h, w) float16."""
    path, side = folder / "latents.npy", recipe.resolution_px // 4
    shape = (len(pool.captions), recipe.latent_channels, side, side)
    if not path.exists():
        partial = folder / "latents.partial.npy"
        latents = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
        for first in tqdm(range(0, len(pool.captions), _ENCODE_BATCH), desc="latents", unit=f"x{_ENCODE_BATCH}"):
            pixels = torch.from_numpy(np.array(pool.pixels[first : first + _ENCODE_BATCH])).permute(0, 3, 1, 2)
            with torch.no_grad(), torch.autocast(device.split(":")[0], torch.bfloat16):
                mean = vae.encode((pixels.float() / 127.5 - 1).to(device)).latent_dist.mean
            latents[first : first + len(pixels)] = mean.float().cpu().numpy()
        latents.flush()
        partial.rename(path)
    opened: npt.NDArray[np.float16] = np.load(path, mmap_mode="r")
    return opened
