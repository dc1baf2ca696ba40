"""Runs one of diffusers' example scripts in this process, timed: a child of `adaptation.py`.

    python tests/benchmarks/diffusers_example.py FIGURES.json SCRIPT.py [the script's own arguments]

The scripts want torchvision, which this project does not install, for six transforms of pictures. Where it is missing a
stand-in for these six takes its place, here and nowhere else; accelerate and all the rest are the scripts' own.
"""

import importlib.util
import json
import random
import runpy
import sys
import types
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from network_clock import NetworkClock
from PIL import Image, ImageOps

Transform = Callable[[Any], Any]


class InterpolationMode(Enum):
    """torchvision's words for Pillow's."""

    NEAREST = Image.Resampling.NEAREST
    BILINEAR = Image.Resampling.BILINEAR
    BICUBIC = Image.Resampling.BICUBIC
    LANCZOS = Image.Resampling.LANCZOS


def _compose(transforms: Sequence[Transform]) -> Transform:
    def apply(image: Any) -> Any:
        for transform in transforms:
            image = transform(image)
        return image

    return apply


def _resize(side: int, interpolation: InterpolationMode) -> Transform:
    def apply(image: Image.Image) -> Image.Image:
        scale = side / min(image.size)
        return image.resize((round(image.width * scale), round(image.height * scale)), interpolation.value)

    return apply


def _crop(side: int, place: Callable[[int], int]) -> Transform:
    def apply(image: Image.Image) -> Image.Image:
        left, top = place(image.width - side), place(image.height - side)
        return image.crop((left, top, left + side, top + side))

    return apply


def _to_tensor() -> Transform:
    return lambda image: torch.from_numpy(np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255)


def _normalize(mean: Sequence[float], deviation: Sequence[float]) -> Transform:
    return lambda pixels: (pixels - mean[0]) / deviation[0]


def _flip(p: float) -> Transform:
    return lambda image: ImageOps.mirror(image) if random.random() < p else image


def stand_in_for_torchvision() -> None:
    """Put the six transforms where the scripts import them from."""
    transforms = types.ModuleType("torchvision.transforms")
    transforms.__dict__.update(
        InterpolationMode=InterpolationMode, Compose=_compose, Resize=_resize, ToTensor=_to_tensor,
        Normalize=_normalize, RandomHorizontalFlip=_flip,
        CenterCrop=lambda side: _crop(side, lambda room: room // 2),
        RandomCrop=lambda side: _crop(side, lambda room: random.randint(0, room)),
    )  # fmt: skip
    package = types.ModuleType("torchvision")
    package.__dict__["transforms"] = transforms
    sys.modules |= {"torchvision": package, "torchvision.transforms": transforms}


def _after(original: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        then()
        return answer

    return wrapped


def main() -> None:
    figures, script = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    if importlib.util.find_spec("torchvision") is None:
        stand_in_for_torchvision()
    clock = NetworkClock()
    clock.install()
    # Both scripts end their training by storing what they trained, and then load pipelines to show it.
    safetensors.torch.save_file = _after(safetensors.torch.save_file, clock.finish)
    StableDiffusionLoraLoaderMixin.save_lora_weights = staticmethod(
        _after(StableDiffusionLoraLoaderMixin.save_lora_weights, clock.finish)
    )
    sys.argv = [str(script), *sys.argv[3:]]
    runpy.run_path(str(script), run_name="__main__")
    figures.write_text(json.dumps(clock.figures()), encoding="utf-8")


if __name__ == "__main__":
    main()
