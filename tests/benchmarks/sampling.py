"""Fewer steps, other solvers, less guidance: what they cost in quality on real classes, and what they save.

    python tests/benchmarks/sampling.py --data FOLDER --scratch .neu/sampling     # half an hour on two cores
    python tests/benchmarks/sampling.py --data FOLDER --classes scratches --images 8 --variants usual few

FOLDER holds images/CLASS/*.jpg and splits.json. Each class of a split is adapted at the registered settings (kept in
--scratch for the next time), and images are made image-oriented from the same sources and seeds with each variant, all
beginning with the same noise. KID is to images that no split tests with; what differs is told by pairs, a class each.
"""

import argparse
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import neu_plan
import numpy as np
import openmp  # noqa: F401  # before torch
import results_page
import torch
from base_model import loaded
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from PIL import Image

from models.adaptation.trainer import adapt
from models.adapter import load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.timesteps import Schedule
from models.evaluation.features import FeatureExtractor, Features, extract
from models.evaluation.kernel import squared_mmd
from models.evaluation.mini import load_mini
from models.generation.config import GenerationConfig, GenerationMode
from models.generation.denoising import Conditioning
from models.generation.engine import Sampler, Sources, encode_sources
from models.imaging.fit import FitPolicy
from models.progress import no_progress
from service.registry import BaseModelEntry, load_base_models
from service.settings import Settings
from worker.jobs.adaptation import configured

_SOLVERS = {"DPM-Solver++ 2M": DPMSolverMultistepScheduler, "UniPC": UniPCMultistepScheduler}


@dataclass(frozen=True)
class Variant:
    """``steps`` as a request counts them: strength times as many are taken, rounded down.

    ``spacing``: ``even`` in time, as a pipeline does it where nothing is said, or ``Karras``, even in the seventh root
    of the noise. All begin with the same noise.
    """

    solver: str
    spacing: str
    steps: int
    guidance_scale: float

    def __str__(self) -> str:
        return f"{self.solver}, {self.spacing}, {self.steps} steps, guidance {self.guidance_scale:g}"


#: The first is what users of Stable Diffusion take, which the others are compared with.
VARIANTS = {
    "usual": Variant("DPM-Solver++ 2M", "even", 20, 1.5),
    "unguided": Variant("DPM-Solver++ 2M", "even", 20, 1.0),
    "few": Variant("DPM-Solver++ 2M", "even", 10, 1.5),
    "few-karras": Variant("DPM-Solver++ 2M", "Karras", 10, 1.5),
    "few-unipc": Variant("UniPC", "even", 10, 1.5),
    "ours-20": Variant("UniPC", "Karras", 20, 1.5),
    "ours-12-guided": Variant("UniPC", "Karras", 12, 1.5),
    "ours-12": Variant("UniPC", "Karras", 12, 1.0),
    "ours-10": Variant("UniPC", "Karras", 10, 1.0),
    "ours-8": Variant("UniPC", "Karras", 8, 1.0),
}


@dataclass(frozen=True)
class Class:
    """``unseen``: features of real images that it was neither adapted to nor is tested with."""

    name: str
    conditioning: Conditioning
    sources: Sources
    unseen: Features


def solver(variant: Variant, base: BaseModel, steps: Schedule) -> Any:
    """Set to take ``steps`` steps from their first level of noise, by the variant's solver and spacing."""
    kind, config = _SOLVERS[variant.solver], base.noise_scheduler.config
    if variant.spacing == "Karras":
        made = kind.from_config(config, use_karras_sigmas=True)
        made.register_to_config(sigma_max=steps.sigma_max, sigma_min=steps.sigma_min)
        made.set_timesteps(steps.num_steps)
    else:
        made = kind.from_config(config)
        levels = torch.sqrt((1 - made.alphas_cumprod) / made.alphas_cumprod).double().numpy()
        first = int(np.abs(levels - steps.sigma_max).argmin()) + 1
        chosen = [round(first * (1 - place / steps.num_steps)) - 1 for place in range(steps.num_steps)]
        made.set_timesteps(steps.num_steps)
        made.timesteps = torch.tensor(chosen)
        made.sigmas = torch.tensor([*levels[chosen], 0.0], dtype=torch.float32)
    made.set_begin_index(0)
    return made


def made(base: BaseModel, one: Class, variant: Variant, usual: GenerationConfig, images: int) -> list[Image.Image]:
    """Pictures of the class."""
    config = replace(usual, guidance_scale=variant.guidance_scale, num_inference_steps=variant.steps)
    with mock.patch("models.generation.denoising.solver", partial(solver, variant)):
        sampler = Sampler(base, one.conditioning, one.sources, config, 0, no_progress)
        return [sample.image for sample in sampler.samples(range(images))]


def classes(
    base: BaseModel, entry: BaseModelEntry, extractor: FeatureExtractor, arguments: argparse.Namespace
) -> Iterator[Class]:
    """Those of the split, each with the adapter that an adaptation without a search would give."""
    names = neu_plan.all_classes(arguments.data)
    every = neu_plan.read_splits(arguments.data, names, 20, 100, [0, 1, 2, 3, 4])
    split = next(one for one in every if one.seed == arguments.split)
    known, unseen = split.train, neu_plan.untested(every, split, arguments.data)
    config = replace(configured(entry.adaptation), num_kept=1)
    for name in arguments.classes or names:
        folder = arguments.scratch / f"split-{split.seed}" / name
        real = loaded({name: known[name]})[name]
        if not (folder / "adapter").is_dir():
            print(f"  adapting {name}", flush=True)
            adapt(base, real, config, placeholder_token="<class>", out_dir=folder / "adapter",
                  checkpoint_dir=folder / "checkpoints", progress=no_progress)  # fmt: skip
        features = extract(extractor, loaded({name: unseen[name]})[name])
        conditioning = Conditioning.of_adapter(load_adapter(folder / "adapter"), base)
        yield Class(name, conditioning, encode_sources(base, real, FitPolicy.RESIZE), features)


def rows(kids: dict[str, list[float]], seconds: dict[str, list[float]]) -> Iterator[list[str]]:
    """Of each variant: images/s against the first's, KID, and by how much it is above the first's in its classes."""
    first = next(iter(kids))
    for key, found in kids.items():
        apart = [own - other for own, other in zip(found, kids[first], strict=True)]
        error = statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
        faster = statistics.median(other / own for own, other in zip(seconds[key], seconds[first], strict=True))
        yield [
            str(VARIANTS[key]), f"{faster:.2f}", f"{statistics.mean(found):.3f}",
            "" if key == first else f"{statistics.mean(apart):+.3f} ± {error:.3f}",
            "" if key == first else f"{sum(one > 0 for one in apart)} of {len(apart)}",
        ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--classes", nargs="+", help="all of the split's when left out")
    parser.add_argument("--images", type=int, default=100, help="of each class and variant")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--scratch", type=Path, default=Path(".neu/sampling"), help="where adapters are kept")
    arguments = parser.parse_args()
    entry = load_base_models(Settings())["mini"]
    base = load_base_model(entry.path, name="mini", bfloat16_on_cpu=entry.bfloat16_on_cpu)
    extractor = load_mini(Path(entry.path) / "extractor")
    usual = GenerationConfig(
        GenerationMode.IMAGE_ORIENTED, entry.generation.strength, entry.generation.guidance_scale,
        entry.generation.num_inference_steps,
    )  # fmt: skip
    kids: dict[str, list[float]] = {key: [] for key in arguments.variants}
    seconds: dict[str, list[float]] = {key: [] for key in arguments.variants}
    for one in classes(base, entry, extractor, arguments):
        made(base, one, VARIANTS["usual"], usual, usual.batch_size)  # Encodes sources, warms up.
        for key in arguments.variants:
            begun = time.perf_counter()
            images = made(base, one, VARIANTS[key], usual, arguments.images)
            seconds[key].append(time.perf_counter() - begun)
            kids[key].append(squared_mmd(one.unseen, extract(extractor, images)))
            print(f"  {one.name}, {VARIANTS[key]}: KID {kids[key][-1]:.3f}, {seconds[key][-1]:.1f} s", flush=True)
    header = ["", "times the images/s", "KID, mean of classes", "above the first row's, a class", "classes above it"]
    print(
        f"{results_page.provenance()}; {torch.get_num_threads()} torch threads; {base.precision}. Strength "
        f"{usual.strength:g}, split {arguments.split}, {arguments.images} images a class.\n\n"
        + results_page.markdown_table(header, list(rows(kids, seconds)))
    )


if __name__ == "__main__":
    main()
