"""Adaptation here against diffusers' example scripts, side by side in one run. Prints a table.

    python tests/benchmarks/adaptation.py --diffusers CLONE
    python tests/benchmarks/adaptation.py --diffusers CLONE --shape sd15 --steps 3 3 --rounds 1     # memory
    ... --pixels 512 --gradient-checkpointing ours

CLONE is a clone of huggingface/diffusers with its files checked out. Theirs are `textual_inversion.py` and then, on the
pipeline that it saves, `train_dreambooth_lora.py --train_text_encoder`; ours are the two stages of `adapt`. Both train
`mini` on the same drawn surfaces, with the same steps, batch, rank and schedule, in processes of their own, by turns.

At equal steps both compute in float32. At equal quality ours computes and learns as `mini` is registered, theirs in
bfloat16, too, where ours does, and with that of `--their-rate` whose images are the best at the end of the first seed.
Both keep adapters along the second stage, and what is compared is the time to the first one whose images are as good as
theirs at their end: made by stock diffusers from either side's files with the same seeds, KID against images that
nobody trained on, within its spread. All of that is repeated with other seeds of both trainings. Seconds begin with the
first image that is encoded: loading and start-up are in none of them. With the shape of a Stable Diffusion, whose
weights are random, steps and memory alone are compared: four images, one a step, `--gradient-checkpointing` on our side
or on both.
"""

import argparse
import math
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import results_page
import torch
from adaptation_sides import CLASS, TOKEN, Base, Checkpointed, Precision, Run, Scripts, Task, ours, registered
from diffusers import DPMSolverMultistepScheduler, StableDiffusionImg2ImgPipeline
from PIL import Image
from results_page import markdown_table
from stable_diffusion_models import SHAPES, build

from models.diffusion.precision import has_bfloat16
from models.evaluation.features import extract
from models.evaluation.kernel import KidScore, kernel_distance
from models.evaluation.mini import load_mini
from models.prior.samples import write_samples
from service.registry import load_base_models
from service.settings import Settings

_MINI = results_page.ROOT / "models" / "prior" / "mini"
_NUM_REAL = 20
_STRENGTH, _GUIDANCE, _INFERENCE_STEPS = 0.7, 1.5, 20
_OURS, _THEIRS = "ours", "diffusers' scripts"
_PRECISIONS: dict[Precision, str] = {"no": "float32", "bf16": "bfloat16"}


def judged(task: Task, pipeline_folder: Path, adapter: Path) -> KidScore:
    """KID of images that stock diffusers makes with the files in ``adapter``, against the validation images."""
    extractor = load_mini(_MINI / "extractor")
    torch.set_num_threads(task.threads)
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(pipeline_folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    if (adapter / "learned_embeds.safetensors").exists():
        pipeline.load_textual_inversion(adapter / "learned_embeds.safetensors", token=TOKEN)
    pipeline.load_lora_weights(adapter, weight_name="pytorch_lora_weights.safetensors")
    sources = [Image.open(path).convert("RGB").resize((task.base.pixels,) * 2) for path in sorted(task.train.iterdir())]
    made = pipeline(
        prompt=[f"A photo of {TOKEN}"] * len(sources), image=sources, strength=_STRENGTH, guidance_scale=_GUIDANCE,
        num_inference_steps=_INFERENCE_STEPS, generator=[torch.Generator().manual_seed(n) for n in range(len(sources))],
    ).images  # fmt: skip
    held_out = sorted((task.folder / "samples" / "validation" / CLASS).iterdir())
    real = extract(extractor, [Image.open(path).convert("L") for path in held_out])
    return kernel_distance(real, extract(extractor, [image.convert("L") for image in made]))


def at_equal_steps(task: Task, rounds: int, their_rate: float) -> list[list[str]]:
    """Rows of the table: medians over ``rounds``, the two by turns."""
    runs: dict[str, list[Run]] = {_OURS: [], _THEIRS: []}
    for number in range(rounds):
        runs[_OURS].append(ours(task, task.folder / f"ours-{number}", 0, as_registered=False))
        scripts = Scripts(task, task.folder / f"theirs-{number}", 0)
        runs[_THEIRS].append(scripts.low_rank(scripts.invert(), their_rate, keeping=False))
        print(*(f"{side}: {made[-1].seconds:.1f} s" for side, made in runs.items()), sep=", ", flush=True)

    def row(what: str, figure: Any, form: str = ".3f") -> list[str]:
        mine, other = (statistics.median(figure(run) for run in runs[side]) for side in (_OURS, _THEIRS))
        return [what, format(mine, form), format(other, form), f"{mine / other:.2f}"]

    return [
        row("both stages, s", lambda run: run.seconds, ".1f"),
        row("a step of textual inversion, s", lambda run: _a_step(run.first)),
        row("a step of LoRA, s", lambda run: _a_step(run.second)),
        row("share of the time in U-Net and text encoder", lambda run: run.share_in_networks, ".2f"),
        row("peak resident memory, MiB", lambda run: run.peak_bytes / 2**20, ".0f"),
        row("- of which not there before the training", lambda run: run.peak_bytes_above / 2**20, ".0f"),
    ]


def _a_step(stage: dict[str, Any]) -> float:
    ends = stage["step_ends"]
    return statistics.median(after - before for before, after in pairwise(ends))


@dataclass(frozen=True)
class Scored:
    """A training, and how good the images of each adapter kept along its second stage are."""

    run: Run
    scores: dict[int, KidScore]

    @classmethod
    def of(cls, task: Task, what: str, run: Run, pipeline: Path) -> "Scored":
        """Judge them, and print it."""
        scores = {step: judged(task, pipeline, folder) for step, folder in run.kept.items()}
        told = [f"{step}: {one.kid:.3f} ± {one.kid_std:.3f}" for step, one in scores.items()]
        print(f"{what}, {run.seconds:.1f} s; KID after LoRA's step", ", ".join(told), flush=True)
        return cls(run, scores)

    @property
    def last(self) -> KidScore:
        """At the end."""
        return self.scores[max(self.scores)]

    def until(self, goal: float) -> tuple[float, str]:
        """Seconds to the first adapter of a KID of ``goal`` or less, and its step; infinite where none has."""
        step = next((step for step, one in sorted(self.scores.items()) if one.kid <= goal), None)
        return (math.inf, "never") if step is None else (self.run.seconds_until(step), str(step))


@dataclass(frozen=True)
class Comparison:
    """Of one seed. ``rate``: their LoRA's."""

    mine: Scored
    theirs: Scored
    rate: float

    @property
    def goal(self) -> float:
        """KID of theirs at its end, within its spread."""
        return self.theirs.last.kid + self.theirs.last.kid_std

    @property
    def ratio(self) -> float:
        """Our seconds to the goal, of theirs."""
        return self.mine.until(self.goal)[0] / self.theirs.until(self.goal)[0]

    @classmethod
    def of(cls, task: Task, seed: int, rates: Sequence[float], precision: Precision) -> "Comparison":
        """Run both; of theirs the rate counts whose images are the best at the end."""
        folder = task.folder / f"seed-{seed}"
        mine = Scored.of(task, f"seed {seed}, ours", ours(task, folder / "ours", seed, as_registered=True), _MINI)
        scripts = Scripts(task, folder / "theirs", seed, precision)
        first = scripts.invert()
        tried = {}
        for rate in rates:
            run = scripts.low_rank(first, rate, keeping=True)
            what = f"seed {seed}, theirs in {_PRECISIONS[precision]} at a rate of {rate:g}"
            tried[rate] = Scored.of(task, what, run, scripts.pipeline)
        best = min(tried, key=lambda rate: tried[rate].last.kid)
        found = cls(mine, tried[best], best)
        print(f"seed {seed}: until KID ≤ {found.goal:.3f}, theirs at {best:g}: ratio {found.ratio:.2f}", flush=True)
        return found


def at_equal_quality(task: Task, rates: Sequence[float], seeds: int) -> list[list[str]]:
    """The row of the time to quality: medians over the seeds, and each seed's. The first one chooses their rate."""
    entry = load_base_models(Settings())["mini"]
    precision: Precision = "bf16" if entry.bfloat16_on_cpu and has_bfloat16(torch.device("cpu")) else "no"
    found: list[Comparison] = []
    for seed in range(seeds):
        found.append(Comparison.of(task, seed, [found[0].rate] if found else rates, precision))

    def cell(reached: list[tuple[float, str]]) -> str:
        steps = ", ".join(step for _, step in reached)
        return f"{statistics.median(seconds for seconds, _ in reached):.1f} (LoRA's step {steps})"

    what = (
        f"until as good as theirs at the end, s ({_PRECISIONS[precision]}, LoRA's rate "
        f"{entry.adaptation.lora.learning_rate:g} here and {found[0].rate:g} there, {seeds} seeds)"
    )
    ratio = f"{statistics.median(one.ratio for one in found):.2f} ({', '.join(f'{one.ratio:.2f}' for one in found)})"
    return [[
        what, cell([one.mine.until(one.goal) for one in found]), cell([one.theirs.until(one.goal) for one in found]),
        ratio,
    ]]  # fmt: skip


def _base(shape: str, pixels: int, folder: Path) -> Base:
    if shape == "mini":
        adaptation = registered()
        return Base(_MINI, 128, adaptation.textual_inversion.initializer_text, adaptation.lora.batch_size)
    return Base(build(shape, folder / shape, torch.float32, pixels), pixels, "x", 1)


def main() -> None:
    """Parse the command line, run both sides, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diffusers", type=Path, required=True, help="a clone of huggingface/diffusers")
    parser.add_argument("--shape", choices=["mini", *SHAPES], default="mini")
    parser.add_argument("--pixels", type=int, default=256, help="a side of a Stable Diffusion's images")
    parser.add_argument("--gradient-checkpointing", choices=get_args(Checkpointed), default="neither")
    parser.add_argument("--steps", type=int, nargs=2, default=(100, 250))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3, help="of the row at equal quality")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--their-rate", type=float, nargs="+", default=[1e-3, 3e-3, 6e-3], help="of LoRA, for both networks"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_samples(folder / "samples", images_per_class=_NUM_REAL if arguments.shape == "mini" else 4)
        steps = (arguments.steps[0], arguments.steps[1])
        base = _base(arguments.shape, arguments.pixels, folder)
        clone, checkpointed = arguments.diffusers.resolve(), arguments.gradient_checkpointing
        task = Task(clone, folder, base, steps, arguments.threads, checkpointed)
        rows = at_equal_steps(task, arguments.rounds, arguments.their_rate[0])
        rows += at_equal_quality(task, arguments.their_rate, arguments.seeds) if arguments.shape == "mini" else []
    print(f"`{results_page.command()}`, commit {results_page.commit()}, {results_page.machine()}\n")
    print(markdown_table(["", _OURS, _THEIRS, "ratio"], rows))


if __name__ == "__main__":
    main()
