"""Generation against diffusers' own pipeline, and in shared batches against one adapter at a time, side by side.

    python tests/benchmarks/generation.py --page docs/performance.md          # two cores, some minutes
    python tests/benchmarks/generation.py --rounds 1 --images 8 --classes 2   # smoke test

Both sides run in turns, in one process, with equal base model, adapters, sources, solver, steps, batch and dtype; a
row is the median of the rounds. The adapters are trained for a few steps on drawn surfaces: they cost what any cost.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

os.environ.setdefault("OMP_WAIT_POLICY", "ACTIVE")  # as a worker does, before torch is loaded (worker/__main__.py)
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import results_page
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionImg2ImgPipeline
from PIL import Image
from results_page import markdown_table

from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.trainer import adapt
from models.adapter import load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.timesteps import denoising_steps, equivalent_strength
from models.evaluation.features import extract
from models.evaluation.kernel import squared_mmd
from models.evaluation.mini import load_mini
from models.generation.config import GenerationConfig
from models.generation.denoising import Conditioning, Denoiser, denoise
from models.generation.engine import Sampler, Sources, encode_sources
from models.generation.sharing import SharedDenoiser
from models.imaging.fit import FitPolicy
from models.prior.samples import SAMPLE_CLASSES, write_samples
from models.progress import no_progress
from worker.turns import Turns

_BATCH, _REAL = 8, 20
_STEPS, _STRENGTH, _GUIDANCE = 20, 0.5, 1.5
#: Images that a request of the second part asks for, in turns.
_SMALL = (2, 4, 8)


@dataclass(frozen=True)
class Class:
    """A class with its adapter: the folder for diffusers, the rest for ours."""

    name: str
    folder: Path
    prompt: str
    real: list[Image.Image]
    sources: Sources
    conditioning: Conditioning


def classes(base: BaseModel, trained: int, count: int, steps: int, scratch: Path) -> list[Class]:
    """Drawn surfaces, each class with its own adapter; more classes than there are surfaces use them again.

    Beyond ``trained`` an adapter's file is opened again: its matrices are other tensors, and cost what another's do.
    """
    write_samples(scratch / "samples", images_per_class=_REAL)
    made: list[Class] = []
    for number in range(trained):
        name = list(SAMPLE_CLASSES)[number % len(SAMPLE_CLASSES)]
        paths = sorted((scratch / "samples" / "train" / name).glob("*.png"))
        real = [Image.open(path).convert("RGB").resize((base.native_size_px,) * 2) for path in paths]
        folder = scratch / f"adapter-{number}"
        config = AdaptationConfig(
            TextualInversionConfig(steps=steps, batch_size=4), LoraTrainingConfig(steps=steps, batch_size=4),
            variants_per_image=1, seed=number, num_kept=1,
        )  # fmt: skip
        adapt(base, real, config, placeholder_token=f"<class-{number}>", out_dir=folder,
              checkpoint_dir=folder / "checkpoints", progress=no_progress)  # fmt: skip
        adapter = load_adapter(folder)
        sources = encode_sources(base, real, FitPolicy.RESIZE)
        conditioning = Conditioning.of_adapter(adapter, base)
        made.append(Class(name, folder, adapter.card.prompt, real, sources, conditioning))
    again = (made[number % trained] for number in range(trained, count))
    opened = [replace(one, conditioning=Conditioning.of_adapter(load_adapter(one.folder), base)) for one in again]
    return made + opened


@dataclass
class Clock:
    """Seconds inside the U-Net's forward, of all seconds."""

    inside: float = 0.0

    @contextmanager
    def around(self, unet: torch.nn.Module) -> Iterator[None]:
        """While the block runs."""
        forward = unet.forward

        def timed(*arguments: object, **options: object) -> object:
            begun = time.perf_counter()
            answer = forward(*arguments, **options)
            self.inside += time.perf_counter() - begun
            return answer

        unet.forward = timed
        try:
            yield
        finally:
            unet.forward = forward


def of_ours(base: BaseModel, of: list[Class], images: int, config: GenerationConfig) -> list[list[Image.Image]]:
    """By class; real images are encoded and adapters put on the device anew, as a job does."""
    made = []
    for one in of:
        sources = encode_sources(base, one.real, FitPolicy.RESIZE)
        conditioning = Conditioning.of_adapter(load_adapter(one.folder), base)
        sampler = Sampler(base, conditioning, sources, config, 1, no_progress)
        made.append([sample.image for sample in sampler.samples(range(images))])
    return made


def stock(path: str, dtype: str) -> StableDiffusionImg2ImgPipeline:
    """The pipeline with our solver."""
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(
        path, safety_checker=None, torch_dtype=getattr(torch, dtype)
    )
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def of_diffusers(
    pipeline: StableDiffusionImg2ImgPipeline, of: list[Class], images: int, config: GenerationConfig
) -> list[list[Image.Image]]:
    """By class, as a user of the pipeline does: LoRA and token loaded, images made in batches, both unloaded."""
    taken = denoising_steps(config.num_inference_steps, config.strength)
    made = []
    for one in of:
        pipeline.load_textual_inversion(str(one.folder / "learned_embeds.safetensors"))
        pipeline.load_lora_weights(str(one.folder), weight_name="pytorch_lora_weights.safetensors")
        own: list[Image.Image] = []
        for first in range(0, images, config.batch_size):
            numbers = range(first, min(first + config.batch_size, images))
            own += pipeline(
                prompt=[one.prompt] * len(numbers), image=[one.real[number % len(one.real)] for number in numbers],
                strength=equivalent_strength(config.num_inference_steps, taken),
                num_inference_steps=config.num_inference_steps, guidance_scale=config.guidance_scale,
                generator=[torch.Generator().manual_seed(number) for number in numbers],
            ).images  # fmt: skip
        pipeline.unload_lora_weights()
        pipeline.unload_textual_inversion()
        made.append(own)
    return made


def against_diffusers(base: BaseModel, fast: BaseModel, of: list[Class], arguments: argparse.Namespace) -> str:
    """The same settings, then ours in the arithmetic that it is registered with, then with few steps; KID of each."""
    path = arguments.model
    extractor, pipeline = load_mini(Path(path) / "extractor"), stock(path, arguments.dtype)
    equal = GenerationConfig(
        strength=_STRENGTH, guidance_scale=_GUIDANCE, num_inference_steps=_STEPS, batch_size=_BATCH
    )
    few = replace(equal, num_inference_steps=arguments.few_steps, guidance_scale=arguments.few_guidance)
    few_name = f"ours, {fast.precision}, {few.num_inference_steps} steps, guidance {few.guidance_scale:g}"
    sides: dict[str, Callable[[], list[list[Image.Image]]]] = {
        f"diffusers, {_STEPS} steps": lambda: of_diffusers(pipeline, of, arguments.images, equal),
        f"ours, {_STEPS} steps": lambda: of_ours(base, of, arguments.images, equal),
        f"ours, {fast.precision}, {_STEPS} steps": lambda: of_ours(fast, of, arguments.images, equal),
        few_name: lambda: of_ours(fast, of, arguments.images, few),
    }
    unets = {name: pipeline.unet if name.startswith("diffusers") else base.unet for name in sides}
    unets |= {name: fast.unet for name in sides if fast.precision in name}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    inside: dict[str, list[float]] = {name: [] for name in sides}
    kids: dict[str, list[float]] = {}
    for turn in range(arguments.rounds + 1):
        for name, side in sides.items():
            clock = Clock()
            with clock.around(unets[name]):
                begun = time.perf_counter()
                made = side()
                taken = time.perf_counter() - begun
            if turn == 0:  # The first round warms up.
                pairs = zip(of, made, strict=True)
                kids[name] = [squared_mmd(extract(extractor, one.real), extract(extractor, own)) for one, own in pairs]
                continue
            seconds[name].append(taken)
            inside[name].append(clock.inside / taken)
            print(f"  {name}: {taken:.1f} s", flush=True)
    count, reference = len(of) * arguments.images, statistics.median(next(iter(seconds.values())))
    rows = [
        [name, f"{count / statistics.median(taken):.2f}", f"{reference / statistics.median(taken):.2f}",
         f"{100 * statistics.median(inside[name]):.0f} %", f"{statistics.mean(kids[name]):.3f}",
         f"{statistics.stdev(kids[name]):.3f}" if len(of) > 1 else ""]
        for name, taken in seconds.items()
    ]  # fmt: skip
    header = [f"{len(of)} classes x {arguments.images} images", "images/s", "times", "inside the U-Net",
              "KID, mean of classes", "its spread"]  # fmt: skip
    return markdown_table(header, rows)


@dataclass(frozen=True)
class Request:
    """A few images of one class."""

    of: Class
    count: int


Answered = tuple[float, list[Image.Image]]


def answer(base: BaseModel, request: Request, config: GenerationConfig, count: int, denoiser: Denoiser) -> Answered:
    """The images, and when they were there."""
    sampler = Sampler(base, request.of.conditioning, request.of.sources, config, 1, no_progress, denoiser)
    made = [sample.image for sample in sampler.draw(range(count))][: request.count]
    return time.perf_counter(), made


def one_at_a_time(base: BaseModel, requests: list[Request], config: GenerationConfig, whole: bool) -> list[Answered]:
    """``whole``: batches of eight, whatever was asked for."""
    return [answer(base, one, config, _BATCH if whole else one.count, denoise) for one in requests]


def together(base: BaseModel, requests: list[Request], config: GenerationConfig, max_jobs: int) -> list[Answered]:
    """Up to ``max_jobs`` under way at once, as a worker does it."""
    turns = Turns()
    denoiser = SharedDenoiser(2 * _BATCH, turns.pass_on)

    def run(request: Request) -> Answered:
        with turns.turn():
            return answer(base, request, config, request.count, denoiser)

    with ThreadPoolExecutor(max_jobs) as threads:
        return list(threads.map(run, requests))


def in_shared_batches(base: BaseModel, of: list[Class], arguments: argparse.Namespace) -> str:
    """All requests are there at the beginning; latency is the time until a request's images are there."""
    config = GenerationConfig(
        strength=_STRENGTH, guidance_scale=_GUIDANCE, num_inference_steps=_STEPS, batch_size=_BATCH
    )
    rows = []
    for adapters in arguments.adapters:
        requests = [Request(of[number % len(of)], _SMALL[number % len(_SMALL)]) for number in range(max(adapters, 6))]
        requests = [replace(one, of=of[0]) for one in requests] if adapters == 1 else requests
        sides: dict[str, Callable[[list[Request]], list[Answered]]] = {
            "whole batches, one job at a time": lambda asked: one_at_a_time(base, asked, config, whole=True),
            "as many as asked for, one job at a time": lambda asked: one_at_a_time(base, asked, config, whole=False),
            f"{arguments.max_jobs} jobs together": lambda asked: together(base, asked, config, arguments.max_jobs),
        }
        seconds: dict[str, list[list[float]]] = {name: [] for name in sides}
        images: dict[str, list[list[Image.Image]]] = {}
        for turn in range(arguments.rounds + 1):
            for name, side in sides.items():
                begun = time.perf_counter()
                answered = side(requests)
                images[name] = [made for _, made in answered]
                if turn:
                    seconds[name].append([at - begun for at, _ in answered])
        first = statistics.median(max(one) for one in next(iter(seconds.values())))
        for name, taken in seconds.items():
            whole = statistics.median(max(one) for one in taken)
            rows.append([
                f"{adapters}, {len(requests)}", name, f"{sum(one.count for one in requests) / whole:.2f}",
                f"{first / whole:.2f}", f"{statistics.median(statistics.mean(one) for one in taken):.2f}",
                f"{statistics.median(float(np.quantile(one, 0.95)) for one in taken):.2f}",
                f"{difference(images[name], next(iter(images.values())))}",
            ])  # fmt: skip
    header = ["adapters, requests", "", "images/s", "times", "latency, mean s", "95 %", "grey levels apart"]
    return markdown_table(header, rows)


def difference(some: list[list[Image.Image]], others: list[list[Image.Image]]) -> int:
    """The most that any pixel of any image differs by."""
    pairs = [pair for one, other in zip(some, others, strict=True) for pair in zip(one, other, strict=True)]
    arrays = ((np.asarray(a, dtype=np.int16), np.asarray(b, dtype=np.int16)) for a, b in pairs)
    return max(int(np.abs(a - b).max()) for a, b in arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/prior/mini", help="a diffusers folder with an extractor in it")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of both sides")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--images", type=int, default=24, help="of each class")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--training-steps", type=int, default=60, help="of both stages of each adapter")
    parser.add_argument("--few-steps", type=int, default=10)
    parser.add_argument("--few-guidance", type=float, default=_GUIDANCE)
    parser.add_argument("--adapters", type=int, nargs="*", default=[1, 6, 30])
    parser.add_argument("--max-jobs", type=int, default=4)
    parser.add_argument("--page", type=Path, help="also write a section of this page, such as docs/performance.md")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    base, fast = (
        load_base_model(
            arguments.model, device=arguments.device, dtype=arguments.dtype, name="mini", bfloat16_on_cpu=cast
        )
        for cast in (False, True)
    )
    trained = max(arguments.classes, 1)
    count = max([trained, *arguments.adapters])
    with tempfile.TemporaryDirectory() as scratch:
        of = classes(base, trained, count, arguments.training_steps, Path(scratch))
        tables = [in_shared_batches(fast, of, arguments)] if arguments.adapters else []
        if arguments.classes:
            tables.insert(0, against_diffusers(base, fast, of[: arguments.classes], arguments))
    text = (
        f"## Generation\n\n`{results_page.command()}`\n\n"
        f"Commit {results_page.commit()}; {results_page.machine()}; {results_page.today()}; "
        f"{torch.get_num_threads()} torch threads; {base.precision}, "
        f"and {fast.precision} in shared batches. Strength {_STRENGTH:g}, guidance {_GUIDANCE:g}, "
        f"DPM-Solver++ 2M, batches of {_BATCH}.\n\n" + "\n\n".join(tables)
    )
    print(text)
    if arguments.page is not None:
        results_page.write_section("generation", text, arguments.page)


if __name__ == "__main__":
    main()
