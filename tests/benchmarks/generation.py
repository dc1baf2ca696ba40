"""Generation against diffusers' own pipeline, and in shared batches against one adapter at a time, side by side.

    python tests/benchmarks/generation.py                                     # two cores, some minutes
    python tests/benchmarks/generation.py --rounds 1 --images 8 --classes 2 --training-steps 2   # smoke test

Both sides run in turns, in one process, with equal base model, adapters, sources and batch, in float32 and in bfloat16:
ours as registered, diffusers with the solver, steps and guidance that its users take, and with ours, which makes all
equal. A row is the median of the rounds. KID is to drawn images of the class that are neither trained on nor sources.
The adapters are trained on drawn surfaces as `mini` is registered, so that quality may be compared; what fewer steps
cost in quality is asked of real classes by `sampling.py`.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import openmp  # noqa: F401  # before torch
import results_page
import torch
from adapted_classes import BATCH, CONFIG, Class, classes, hardly_trained
from diffusers import DPMSolverMultistepScheduler, StableDiffusionImg2ImgPipeline, UniPCMultistepScheduler
from PIL import Image
from results_page import markdown_table
from shared_batches import in_shared_batches

from models.adapter import load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.timesteps import Schedule, schedule
from models.evaluation.features import extract
from models.evaluation.kernel import squared_mmd
from models.evaluation.mini import load_mini
from models.generation.config import GenerationConfig
from models.generation.denoising import Conditioning
from models.generation.engine import Sampler, encode_sources
from models.imaging.fit import FitPolicy
from models.progress import no_progress
from service.registry import load_base_models
from service.settings import Settings
from worker.jobs.adaptation import configured

#: Images by class.
Made = list[list[Image.Image]]


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
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()  # It answers before it has computed.
            self.inside += time.perf_counter() - begun
            return answer

        unet.forward = timed
        try:
            yield
        finally:
            unet.forward = forward


def of_ours(base: BaseModel, of: list[Class], images: int, config: GenerationConfig, *, is_first: bool) -> Made:
    """By class; adapters are put on the device anew. A worker keeps what it encoded for a class's first job."""
    made = []
    for one in of:
        sources = encode_sources(base, one.real, FitPolicy.RESIZE) if is_first else one.sources
        conditioning = Conditioning.of_adapter(load_adapter(one.folder), base)
        sampler = Sampler(base, conditioning, sources, config, 1, no_progress)
        made.append([sample.image for sample in sampler.samples(range(images))])
    return made


@dataclass(frozen=True)
class Call:
    """How a pipeline is called: its scheduler's options (none: DPM-Solver++ 2M as it is), and its arguments."""

    name: str
    steps: Schedule | None
    strength: float
    num_inference_steps: int
    guidance_scale: float

    @classmethod
    def usual(cls) -> "Call":
        """What users of Stable Diffusion take, with guidance for a prompt that says little."""
        return cls("DPM-Solver++ 2M, 20 steps, guidance 1.5", None, CONFIG.strength, 20, 1.5)

    @classmethod
    def as_ours(cls, base: BaseModel) -> "Call":
        """The very steps that ours takes."""
        steps = schedule(base, CONFIG.num_inference_steps, CONFIG.strength)
        return cls("as ours", steps, 1.0, steps.num_steps, CONFIG.guidance_scale)


@dataclass(frozen=True)
class Theirs:
    """A pipeline, and whether it computes in bfloat16 under autocast, its weights being float32."""

    pipeline: StableDiffusionImg2ImgPipeline
    is_cast: bool = False

    @classmethod
    def opened(cls, arguments: argparse.Namespace, dtype: str, is_cast: bool = False) -> "Theirs":
        """Quiet, and without what makes no image."""
        pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(
            arguments.model, safety_checker=None, torch_dtype=getattr(torch, dtype)
        ).to(arguments.device)
        pipeline.set_progress_bar_config(disable=True)
        return cls(pipeline, is_cast)

    def make(self, of: list[Class], images: int, call: Call) -> Made:
        """As a user of the pipeline does: LoRA and token loaded, images made in batches, both unloaded."""
        config = self.pipeline.scheduler.config
        self.pipeline.scheduler = (
            DPMSolverMultistepScheduler.from_config(config)
            if call.steps is None
            else UniPCMultistepScheduler.from_config(config, **call.steps.options)
        )
        made = []
        for one in of:
            self.pipeline.load_textual_inversion(str(one.folder / "learned_embeds.safetensors"))
            self.pipeline.load_lora_weights(str(one.folder), weight_name="pytorch_lora_weights.safetensors")
            with torch.autocast(self.pipeline.device.type, torch.bfloat16, enabled=self.is_cast):
                made.append(self._of_class(one, images, call))
            self.pipeline.unload_lora_weights()
            self.pipeline.unload_textual_inversion()
        return made

    def _of_class(self, one: Class, images: int, call: Call) -> list[Image.Image]:
        own: list[Image.Image] = []
        for first in range(0, images, BATCH):
            numbers = range(first, min(first + BATCH, images))
            own += self.pipeline(
                prompt=[one.prompt] * len(numbers), image=[one.real[number % len(one.real)] for number in numbers],
                strength=call.strength, num_inference_steps=call.num_inference_steps,
                guidance_scale=call.guidance_scale,
                generator=[torch.Generator().manual_seed(number) for number in numbers],
            ).images  # fmt: skip
        return own


def in_bfloat16(of: list[Class], arguments: argparse.Namespace) -> tuple[str, Theirs]:
    """Theirs under autocast, or with weights of bfloat16: what is faster here for a batch, warm. Prints both."""
    ways = {
        "autocast to bfloat16": Theirs.opened(arguments, "float32", is_cast=True),
        "weights of bfloat16": Theirs.opened(arguments, "bfloat16"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, one in ways.items():
            begun = time.perf_counter()
            one.make(of[:1], BATCH, Call.usual())
            seconds[name].append(time.perf_counter() - begun)
    fastest = {name: min(taken) for name, taken in seconds.items()}
    print("  diffusers, a batch:", ", ".join(f"{name} {taken:.2f} s" for name, taken in fastest.items()), flush=True)
    chosen = min(fastest, key=lambda name: fastest[name])
    return chosen, ways[chosen]


@dataclass
class Side:
    """A row: how images are made, what each round took, what share was inside the U-Net, KID by class."""

    unet: torch.nn.Module
    make: Callable[[], Made]
    seconds: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    kids: list[float] = field(default_factory=list)

    def run(self) -> Made:
        """Once more."""
        clock = Clock()
        with clock.around(self.unet):
            begun = time.perf_counter()
            made = self.make()
            self.seconds.append(time.perf_counter() - begun)
        self.inside.append(clock.inside / self.seconds[-1])
        return made

    def cells(self, count: int, reference: "Side") -> list[str]:
        """Of ``count`` images. KID's difference to ``reference`` is that of pairs, a class each, with its error."""
        apart = [own - other for own, other in zip(self.kids, reference.kids, strict=True)]
        error = statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
        taken = statistics.median(self.seconds)
        return [
            f"{count / taken:.2f}", f"{statistics.median(reference.seconds) / taken:.2f}",
            f"{100 * statistics.median(self.inside):.0f} %", f"{statistics.mean(self.kids):.3f}",
            "" if self is reference else f"{statistics.mean(apart):+.3f} ± {error:.3f}",
        ]  # fmt: skip


def sides_of(base: BaseModel, fast: BaseModel, of: list[Class], arguments: argparse.Namespace) -> dict[str, Side]:
    """Either side, in the arithmetic asked for and, where that is another, in bfloat16."""
    theirs, mine = {arguments.dtype: Theirs.opened(arguments, arguments.dtype)}, {arguments.dtype: base}
    if arguments.dtype == "float32":
        name, cast = in_bfloat16(of, arguments)
        theirs[name] = cast
        mine |= {fast.precision: fast}
    sides = {}
    for call in (Call.usual(), Call.as_ours(base)):
        for precision, one in theirs.items():
            make = partial(one.make, of, arguments.images, call)
            sides[f"diffusers, {call.name}, {precision}"] = Side(one.pipeline.unet, make)
    for precision, own in mine.items():
        make_ours = partial(of_ours, own, of, arguments.images, CONFIG)
        sides[f"ours, {precision}"] = Side(own.unet, partial(make_ours, is_first=True))
        sides[f"ours, {precision}, a class's later jobs"] = Side(own.unet, partial(make_ours, is_first=False))
    return sides


def against_diffusers(base: BaseModel, fast: BaseModel, of: list[Class], arguments: argparse.Namespace) -> str:
    """The table; the first row is what the others are compared with."""
    extractor, sides = load_mini(arguments.extractor), sides_of(base, fast, of, arguments)
    for turn in range(arguments.rounds + 1):
        for name, side in sides.items():
            made = side.run()
            if turn:
                print(f"  {name}: {side.seconds[-1]:.1f} s", flush=True)
                continue
            side.seconds.clear()  # The first round warms up.
            side.inside.clear()
            pairs = zip(of, made, strict=True)
            side.kids = [squared_mmd(extract(extractor, one.held_out), extract(extractor, own)) for one, own in pairs]
    first = next(iter(sides.values()))
    rows = [[name, *side.cells(len(of) * arguments.images, first)] for name, side in sides.items()]
    header = [f"{len(of)} classes x {arguments.images} images", "images/s", "times", "inside the U-Net",
              "KID, mean of classes", "less the first row's, a class"]  # fmt: skip
    return markdown_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/prior/mini", help="a diffusers folder")
    parser.add_argument("--extractor", type=Path, default=Path("models/prior/mini/extractor"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of both sides")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--images", type=int, default=24, help="of each class")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--training-steps", type=int, help="of each stage of each adapter; as registered when left out")
    parser.add_argument("--adapters", type=int, nargs="*", default=[1, 6, 30])
    parser.add_argument("--max-jobs", type=int, default=4)
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
        registered = configured(load_base_models(Settings())["mini"].adaptation)
        config = hardly_trained(arguments.training_steps) if arguments.training_steps else registered
        of = classes(base, config, trained, count, Path(scratch))
        tables = [in_shared_batches(fast, of, arguments)] if arguments.adapters else []
        if arguments.classes:
            tables.insert(0, against_diffusers(base, fast, of[: arguments.classes], arguments))
    print(
        f"{results_page.provenance()}; {torch.get_num_threads()} torch threads; {base.precision}, "
        f"and {fast.precision} in shared batches. Strength {CONFIG.strength:g}; ours: UniPC at Karras's noise levels, "
        f"{CONFIG.num_inference_steps} steps, guidance {CONFIG.guidance_scale:g}; batches of {BATCH}.\n\n"
        + "\n\n".join(tables)
    )


if __name__ == "__main__":
    main()
