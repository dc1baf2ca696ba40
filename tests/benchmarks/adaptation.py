"""Adaptation here against diffusers' example scripts, side by side in one run. Prints a table.

    python tests/benchmarks/adaptation.py --diffusers CLONE
    python tests/benchmarks/adaptation.py --diffusers CLONE --shape sd15 --steps 2 2 --rounds 1     # memory

CLONE is a clone of huggingface/diffusers with its files checked out. Theirs are `textual_inversion.py` and then, on the
pipeline that it saves, `train_dreambooth_lora.py --train_text_encoder`; ours are the two stages of `adapt`. Both train
`mini` on the same drawn surfaces, with the same steps, batch, rank and schedule, in processes of their own, by turns.

At equal steps both compute in float32. At equal quality ours computes as it is registered, both keep adapters along the
second stage, and what is compared is the time to the first one whose images are as good as theirs at their end: made by
stock diffusers from either side's files with the same seeds, KID against images that nobody trained on, within its
spread. Seconds begin with the first image that is encoded: loading and start-up are in none of them. With the shape of
a Stable Diffusion, whose weights are random, steps and memory alone are compared: four images of 256 px, one a step.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import results_page
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionImg2ImgPipeline
from PIL import Image
from results_page import markdown_table
from stable_diffusion_models import SHAPES, build

from models.evaluation.features import extract
from models.evaluation.kernel import KidScore, kernel_distance
from models.evaluation.mini import load_mini
from models.prior.samples import SAMPLE_CLASSES, write_samples
from service.registry import load_base_models
from service.settings import Settings

_HERE = Path(__file__).parent
_MINI = results_page.ROOT / "models" / "prior" / "mini"
_CLASS = next(iter(SAMPLE_CLASSES))
_TOKEN = "<benchmark-1>"
_NUM_REAL, _NUM_KEPT, _NEVER = 20, 5, 10**9
_STRENGTH, _GUIDANCE, _INFERENCE_STEPS = 0.7, 1.5, 20
_OURS, _THEIRS = "ours", "diffusers' scripts"


@dataclass(frozen=True)
class Base:
    """What is adapted, a diffusers folder. ``initializer``: one token; ``batch``: of both stages."""

    folder: Path
    pixels: int
    initializer: str
    batch: int


@dataclass(frozen=True)
class Task:
    """``steps``: of the two stages. ``their_rate``: of their second stage, which has one rate for both networks."""

    clone: Path
    folder: Path
    base: Base
    steps: tuple[int, int]
    threads: int
    their_rate: float

    @property
    def train(self) -> Path:
        """The images that both learn from."""
        return self.folder / "samples" / "train" / _CLASS

    @property
    def kept_every(self) -> int:
        """Steps of the second stage between two adapters that are judged."""
        return -(-self.steps[1] // _NUM_KEPT)


@dataclass(frozen=True)
class Run:
    """One training: each stage's clock, from either side, and where the adapters along the second stage lie."""

    first: dict[str, Any]
    second: dict[str, Any]
    kept: dict[int, Path]

    @property
    def seconds(self) -> float:
        """Of both stages, caching and data loading with them."""
        return float(self.first["step_ends"][-1] + self.second["step_ends"][-1])

    @property
    def share_in_networks(self) -> float:
        """Of ``seconds``, in U-Net and text encoder, forward and backward."""
        return float(self.first["networks_seconds"] + self.second["networks_seconds"]) / self.seconds

    @property
    def peak_bytes(self) -> int:
        """Resident, the larger of the two stages."""
        return int(max(self.first["peak_bytes"], self.second["peak_bytes"]))

    @property
    def peak_bytes_above(self) -> int:
        """The same, above what the process held when the models were loaded and nothing had been computed."""
        return int(max(one["peak_bytes"] - one["bytes_before"] for one in (self.first, self.second)))

    def seconds_until(self, step: int) -> float:
        """From the beginning to ``step`` of the second stage."""
        return float(self.first["step_ends"][-1] + self.second["step_ends"][step - 1])


def ours(task: Task, out: Path, *, as_registered: bool) -> Run:
    """`adapt` in a child: float32, or as `mini` is registered and with adapters kept."""
    words = [*map(str, task.steps), str(task.kept_every if as_registered else 0), str(task.train), str(out)]
    words += [str(task.base.folder), task.base.initializer, str(task.base.batch)]
    figures = _child(task, [str(_HERE / "our_adaptation.py"), str(out / "figures.json"), *words], out / "figures.json")
    ends, first = figures["step_ends"], task.steps[0]
    stages = (
        figures | {"step_ends": ends[:first], "networks_seconds": figures["networks_seconds"]},
        figures | {"step_ends": [end - ends[first - 1] for end in ends[first:]], "networks_seconds": 0.0},
    )
    return Run(*stages, {int(step): Path(folder) for step, folder in figures["kept"].items()})


def theirs(task: Task, out: Path, *, keeping: bool) -> Run:
    """Both scripts, one after the other, each in a child."""
    adaptation = load_base_models(Settings())["mini"].adaptation
    first, second = task.steps

    def script(name: str, steps: int, rate: float, **flags: object) -> dict[str, Any]:
        folder = out / Path(name).stem
        flags |= {
            "resolution": task.base.pixels, "max_train_steps": steps, "learning_rate": rate, "lr_scheduler": "cosine",
            "lr_warmup_steps": max(1, steps // 20), "seed": 0, "output_dir": folder,
        }  # fmt: skip
        words = [str(word) for key, value in flags.items() for word in (f"--{key}", value) if word is not None]
        figures = out / f"{Path(name).stem}.json"
        runner = [str(_HERE / "diffusers_example.py"), str(figures), str(task.clone / "examples" / name)]
        return _child(task, [*runner, *words], figures)

    inversion = script(
        "textual_inversion/textual_inversion.py", first, adaptation.textual_inversion.learning_rate,
        pretrained_model_name_or_path=task.base.folder, train_data_dir=task.train, placeholder_token=_TOKEN,
        initializer_token=task.base.initializer, save_as_full_pipeline=None,
        train_batch_size=task.base.batch, save_steps=_NEVER, checkpointing_steps=_NEVER,
    )  # fmt: skip
    low_rank = script(
        "dreambooth/train_dreambooth_lora.py", second, task.their_rate,
        pretrained_model_name_or_path=out / "textual_inversion", instance_data_dir=task.train,
        instance_prompt=f"A photo of {_TOKEN}", train_text_encoder=None, rank=adaptation.lora.rank,
        train_batch_size=task.base.batch, checkpointing_steps=task.kept_every if keeping else _NEVER,
    )  # fmt: skip
    steps = [*range(task.kept_every, second, task.kept_every), second] if keeping else []
    made = out / "train_dreambooth_lora"
    return Run(inversion, low_rank, {step: made / f"checkpoint-{step}" if step < second else made for step in steps})


def _child(task: Task, words: list[str], figures: Path) -> dict[str, Any]:
    figures.parent.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join([str(results_page.ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": str(task.threads), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{words[0]} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    return found


def judged(task: Task, pipeline_folder: Path, adapter: Path) -> KidScore:
    """KID of images that stock diffusers makes with the files in ``adapter``, against the validation images."""
    extractor = load_mini(_MINI / "extractor")
    torch.set_num_threads(task.threads)
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(pipeline_folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    if (adapter / "learned_embeds.safetensors").exists():
        pipeline.load_textual_inversion(adapter / "learned_embeds.safetensors", token=_TOKEN)
    pipeline.load_lora_weights(adapter, weight_name="pytorch_lora_weights.safetensors")
    sources = [Image.open(path).convert("RGB").resize((task.base.pixels,) * 2) for path in sorted(task.train.iterdir())]
    made = pipeline(
        prompt=[f"A photo of {_TOKEN}"] * len(sources), image=sources, strength=_STRENGTH, guidance_scale=_GUIDANCE,
        num_inference_steps=_INFERENCE_STEPS, generator=[torch.Generator().manual_seed(n) for n in range(len(sources))],
    ).images  # fmt: skip
    held_out = sorted((task.folder / "samples" / "validation" / _CLASS).iterdir())
    real = extract(extractor, [Image.open(path).convert("L") for path in held_out])
    return kernel_distance(real, extract(extractor, [image.convert("L") for image in made]))


def at_equal_steps(task: Task, rounds: int) -> list[list[str]]:
    """Rows of the table: medians over ``rounds``, the two by turns."""
    runs: dict[str, list[Run]] = {_OURS: [], _THEIRS: []}
    for number in range(rounds):
        runs[_OURS].append(ours(task, task.folder / f"ours-{number}", as_registered=False))
        runs[_THEIRS].append(theirs(task, task.folder / f"theirs-{number}", keeping=False))
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


def at_equal_quality(task: Task) -> list[list[str]]:
    """The row of the time to quality, with what each adapter scored."""
    made = ours(task, task.folder / "ours-kept", as_registered=True)
    other = theirs(task, task.folder / "theirs-kept", keeping=True)
    base = task.folder / "theirs-kept" / "textual_inversion"
    scores = {
        _OURS: {step: judged(task, _MINI, folder) for step, folder in made.kept.items()},
        _THEIRS: {step: judged(task, base, folder) for step, folder in other.kept.items()},
    }
    last = scores[_THEIRS][task.steps[1]]
    goal = last.kid + last.kid_std
    for side, by_step in scores.items():
        print(side, *(f"LoRA step {step}: KID {one.kid:.3f} ± {one.kid_std:.3f}" for step, one in by_step.items()))
    first = {side: next((step for step, one in by.items() if one.kid <= goal), None) for side, by in scores.items()}
    seconds = {side: run.seconds_until(first[side] or task.steps[1]) for side, run in
               ((_OURS, made), (_THEIRS, other))}  # fmt: skip
    cells = [f"{seconds[side]:.1f} (step {first[side] or 'never'})" for side in (_OURS, _THEIRS)]
    return [[f"until KID ≤ {goal:.3f}, s", *cells, f"{seconds[_OURS] / seconds[_THEIRS]:.2f}"]]


def _base(shape: str, folder: Path) -> Base:
    if shape == "mini":
        adaptation = load_base_models(Settings())["mini"].adaptation
        return Base(_MINI, 128, adaptation.textual_inversion.initializer_text, adaptation.lora.batch_size)
    side_px = 256
    return Base(build(shape, folder / shape, torch.float32, side_px), side_px, "x", 1)


def main() -> None:
    """Parse the command line, run both sides, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diffusers", type=Path, required=True, help="a clone of huggingface/diffusers")
    parser.add_argument("--shape", choices=["mini", *SHAPES], default="mini")
    parser.add_argument("--steps", type=int, nargs=2, default=(100, 250))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--their-rate", type=float, default=1e-3, help="of LoRA, for both networks")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_samples(folder / "samples", images_per_class=_NUM_REAL if arguments.shape == "mini" else 4)
        steps = (arguments.steps[0], arguments.steps[1])
        base = _base(arguments.shape, folder)
        task = Task(arguments.diffusers.resolve(), folder, base, steps, arguments.threads, arguments.their_rate)
        rows = at_equal_steps(task, arguments.rounds)
        rows += at_equal_quality(task) if arguments.shape == "mini" else []
    print(f"`{results_page.command()}`, commit {results_page.commit()}, {results_page.machine()}\n")
    print(markdown_table(["", _OURS, _THEIRS, "ratio"], rows))


if __name__ == "__main__":
    main()
