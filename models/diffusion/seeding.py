"""Where randomness comes from: every draw is a function of a seed and of what it is drawn for."""

import hashlib

import torch


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, from SHA-256 of the seed and the purpose: no two purposes share a stream."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator at ``derived_seed``; CPU, so that every device sees the same numbers."""
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))


def image_seed(seed: int, index: int) -> int:
    """The seed of image ``index`` of a job; stored with the image, and enough to draw its noise again."""
    return derived_seed(seed, "image", index)


def image_noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """The noise of the image with ``image_seed`` ``seed``: (1, *shape) float32.

    Drawn as stock diffusers draws it from a list of per-image generators.
    """
    return torch.randn((1, *shape), generator=torch.Generator().manual_seed(seed))
