"""The pool of drawn surfaces that every stage trains on: drawn once, kept as memory-mapped arrays."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from models.prior import surfaces
from models.prior.recipe import Recipe

_CHUNK = 256


@dataclass(frozen=True)
class Pool:
    """``pixels``: (N, size, size, 3) uint8; ``parameters``: (N, P) float32; ``kinds``: (N,) int64; ``captions``: N."""

    pixels: npt.NDArray[np.uint8]
    parameters: npt.NDArray[np.float32]
    kinds: npt.NDArray[np.int64]
    captions: list[str]


def drawn_pool(recipe: Recipe, folder: Path) -> Pool:
    """Draw the recipe's surfaces into ``folder``, or open them if they are there; an interrupted draw begins anew.

    Raises ``ValueError`` where those that are there were drawn by another recipe or other code.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done, size, count = folder / "pool.json", recipe.resolution_px, recipe.num_surfaces
    shape = (count, size, size, 3)
    if not done.exists():
        pixels = np.lib.format.open_memmap(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
        parameters = np.zeros((count, len(surfaces.PARAMETERS)), np.float32)
        captions, kinds = [], np.zeros(count, np.int64)
        for first in tqdm(range(0, count, _CHUNK), desc="surfaces", unit=f"x{_CHUNK}"):
            for offset, surface in enumerate(surfaces.draw_many(first, min(_CHUNK, count - first), recipe.seed, size)):
                pixels[first + offset] = surface.pixels
                parameters[first + offset] = surface.parameters
                kinds[first + offset] = surfaces.KINDS.index(surface.kind)
                captions.append(surface.caption)
        pixels.flush()
        np.savez(folder / "labels.npz", parameters=parameters, kinds=kinds)
        done.write_text(json.dumps(captions))
    labels = np.load(folder / "labels.npz")
    opened = np.load(folder / "pixels.npy", mmap_mode="r")
    first_drawn = surfaces.draw_many(0, 1, recipe.seed, size)[0].pixels
    if opened.shape != shape or not np.array_equal(opened[0], first_drawn):
        raise ValueError(
            f"{folder} holds another recipe's surfaces: train into another folder (--folder), or delete it."
        )
    return Pool(opened, labels["parameters"], labels["kinds"], json.loads(done.read_text()))
