"""Fewer steps, other solvers, less guidance: what they cost in quality on real classes, and what they save.

    python tests/benchmarks/sampling.py --data FOLDER --scratch .neu/sampling     # half an hour on two cores
    python tests/benchmarks/sampling.py --data FOLDER --classes scratches --images 8 --variants 20 10    # smoke test

FOLDER holds images/CLASS/*.jpg and splits.json. Each class of a split is adapted at the registered settings (kept in
--scratch for the next time), and images are made image-oriented from the same sources and seeds with each variant, all
beginning at the same noise. KID is to images that no split tests with; what differs is told by pairs, a class each.
"""

import argparse
import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from synthetic_share import untested

from models.adaptation.trainer import adapt
from models.adapter import load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
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
#: The timestep (of 1000) at which schedules by noise level end: below it noise is lost in rounding to 8 bit.
_LAST = 24


@dataclass(frozen=True)
class Variant:
    """``steps`` as a request counts them: strength times as many are taken. ``spacing``: see `_timesteps`."""

    solver: str = "DPM-Solver++ 2M"
    spacing: str = "even"
    steps: int = 20
    guidance_scale: float = 1.5

    def __str__(self) -> str:
        return f"{self.solver}, {self.spacing}, {self.steps} steps, guidance {self.guidance_scale:g}"


#: The first is the default, which the others are compared with.
VARIANTS = {
    "20": Variant(),
    "20-unguided": Variant(guidance_scale=1.0),
    "14": Variant(steps=14),
    "14-log": Variant(spacing="log-SNR", steps=14),
    "14-karras": Variant(spacing="Karras", steps=14),
    "14-unipc": Variant("UniPC", steps=14),
    "10": Variant(steps=10),
    "10-log": Variant(spacing="log-SNR", steps=10),
    "10-karras": Variant(spacing="Karras", steps=10),
    "10-unipc": Variant("UniPC", steps=10),
    "10-unipc-karras": Variant("UniPC", "Karras", 10),
    "10-unguided": Variant(steps=10, guidance_scale=1.0),
}


@dataclass(frozen=True)
class Class:
    """``unseen``: features of real images that it was neither adapted to nor is tested with."""

    name: str
    conditioning: Conditioning
    sources: Sources
    unseen: Features


def _timesteps(spacing: str, first: int, count: int, sigmas: np.ndarray) -> list[int]:
    """From ``first`` down, ``count`` of them: even in time, in the log of the noise, or as Karras et al. 2022 do."""
    if spacing == "even":
        return [round((first + 1) * (1 - place / count)) - 1 for place in range(count)]
    ends, rho = sigmas[[first, _LAST]], 7.0
    along = np.linspace(0, 1, count)
    if spacing == "log-SNR":
        wanted = np.exp(np.log(ends[0]) + along * np.log(ends[1] / ends[0]))
    else:
        wanted = (ends[0] ** (1 / rho) + along * (ends[1] ** (1 / rho) - ends[0] ** (1 / rho))) ** rho
    return [int(np.abs(sigmas[: first + 1] - one).argmin()) for one in wanted]


def solver(variant: Variant, base: BaseModel, strength: float) -> Any:
    """Set to begin with the noise that ``strength`` means at any number of steps."""
    made = _SOLVERS[variant.solver].from_config(base.noise_scheduler.config)
    alphas = made.alphas_cumprod.double().numpy()
    sigmas = np.sqrt((1 - alphas) / alphas)
    taken = max(1, round(variant.steps * strength))
    chosen = _timesteps(variant.spacing, round(len(sigmas) * strength) - 1, taken, sigmas)
    made.set_timesteps(taken)
    made.timesteps = torch.tensor(chosen, device=base.device)
    made.sigmas = torch.tensor([*sigmas[chosen], 0.0], dtype=torch.float32)
    made.set_begin_index(0)
    return made


@contextmanager
def sampled_by(variant: Variant, strength: float) -> Iterator[None]:
    """While the block runs, every run takes its steps by ``variant``."""
    with mock.patch("models.generation.denoising.solver", lambda base, *_: solver(variant, base, strength)):
        yield


def made(base: BaseModel, one: Class, variant: Variant, usual: GenerationConfig, images: int) -> list[Any]:
    """Pictures of the class; a run's own count of steps is the variant's, all of them taken."""
    taken = max(1, round(variant.steps * usual.strength))
    config = replace(usual, strength=1.0, guidance_scale=variant.guidance_scale, num_inference_steps=taken)
    with sampled_by(variant, usual.strength):
        sampler = Sampler(base, one.conditioning, one.sources, config, 0, no_progress)
        return [sample.image for sample in sampler.samples(range(images))]


def classes(
    base: BaseModel, entry: BaseModelEntry, extractor: FeatureExtractor, arguments: argparse.Namespace
) -> Iterator[Class]:
    """Those of the split, each with the adapter that an adaptation without a search would give."""
    names = neu_plan.all_classes(arguments.data)
    every = neu_plan.read_splits(arguments.data, names, 20, 100, [0, 1, 2, 3, 4])
    split = next(one for one in every if one.seed == arguments.split)
    known, unseen = split.train, untested(every, split, arguments.data)
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
        made(base, one, VARIANTS["20"], usual, usual.batch_size)  # Encodes sources, warms up.
        for key in arguments.variants:
            begun = time.perf_counter()
            images = made(base, one, VARIANTS[key], usual, arguments.images)
            seconds[key].append(time.perf_counter() - begun)
            kids[key].append(squared_mmd(one.unseen, extract(extractor, images)))
            print(f"  {one.name}, {VARIANTS[key]}: KID {kids[key][-1]:.3f}, {seconds[key][-1]:.1f} s", flush=True)
    header = ["", "times the images/s", "KID, mean of classes", "above the first row's, a class", "classes above it"]
    print(
        f"`{results_page.command()}`\n\nCommit {results_page.commit()}; {results_page.machine()}; "
        f"{results_page.today()}; {torch.get_num_threads()} torch threads; {base.precision}. Strength "
        f"{usual.strength:g}, split {arguments.split}, {arguments.images} images a class.\n\n"
        + results_page.markdown_table(header, list(rows(kids, seconds)))
    )


if __name__ == "__main__":
    main()
