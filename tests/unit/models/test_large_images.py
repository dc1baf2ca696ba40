"""A class of a camera's pictures is never in memory whole: each is opened when it is looked at, and let go."""

import weakref
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from models.adaptation.latent_cache import cached_latents
from models.diffusion.base_model import BaseModel
from models.diffusion.latents import round_trip
from models.evaluation.copies import CopyGate
from models.evaluation.features import extract
from models.imaging.fit import FitPolicy

NUM_IMAGES, SIDE_PX = 9, 1200


class Watched(Sequence[Image.Image]):
    """Pictures that are made when they are asked for; knows how many were alive at once."""

    def __init__(self) -> None:
        self.alive = self.most_alive = 0

    def __len__(self) -> int:
        return NUM_IMAGES

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]
        if index >= NUM_IMAGES:
            raise IndexError(index)
        coarse = np.random.default_rng(index).integers(0, 256, (SIDE_PX // 50, SIDE_PX // 50), dtype=np.uint8)
        made = Image.fromarray(np.kron(coarse, np.ones((50, 50), np.uint8)))
        self.alive += 1
        self.most_alive = max(self.most_alive, self.alive)
        weakref.finalize(made, self._gone)
        return made

    def _gone(self) -> None:
        self.alive -= 1


class Means:
    """An extractor that knows how much it was given at once."""

    name, digest, resize_rule, dim = "means", "0" * 64, "none", 3

    def __init__(self) -> None:
        self.most_values = 0

    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.most_values = max(self.most_values, pixel_values.numel())
        return pixel_values.mean(dim=(2, 3))


@pytest.mark.parametrize(
    "look",
    [
        lambda images, base: extract(Means(), images),
        lambda images, base: CopyGate.fit(images, np.random.default_rng(0).random((NUM_IMAGES, 3))),
        lambda images, base: cached_latents(base, images, FitPolicy.RESIZE, 2, seed=0),
        lambda images, base: round_trip(base, images, FitPolicy.RESIZE),
    ],
    ids=["features", "copy gate", "latents", "round trip"],
)
def test_few_pictures_are_open_at_once(
    tiny_base: BaseModel, look: Callable[[Sequence[Image.Image], BaseModel], object]
) -> None:
    images = Watched()
    look(images, tiny_base)
    assert 1 <= images.most_alive <= 2, "one that is looked at, and the next"


def test_large_pictures_go_through_an_extractor_in_small_batches() -> None:
    extractor = Means()
    features = extract(extractor, Watched())
    assert features.shape == (NUM_IMAGES, 3)
    assert 3 * SIDE_PX**2 <= extractor.most_values <= 2**24
