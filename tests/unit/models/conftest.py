"""A tiny real base model, built once a session."""

import copy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.diffusion.base_model import BaseModel, load_base_model
from tests.fakes.tiny_base_model import build_tiny_base_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_base_model(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def _opened(tiny_folder: Path) -> BaseModel:
    return load_base_model(str(tiny_folder), name="tiny")


@pytest.fixture
def tiny_base(_opened: BaseModel) -> BaseModel:
    return copy.deepcopy(_opened)


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Six grey pictures of 48 x 40 px: a random plane of light with noise."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:40, 0:48] / 40
    made = []
    for _ in range(6):
        plane = 128 + 60 * (rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y) + rng.normal(0, 8, (40, 48))
        made.append(Image.fromarray(np.clip(plane, 0, 255).astype(np.uint8)))
    return made
