"""Both sides of `adaptation.py`: adaptation here, and diffusers' two example scripts, each in processes of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import openmp
import results_page

from models.prior.samples import SAMPLE_CLASSES
from service.contracts.adaptations import AdaptationSettings
from service.registry import load_base_models
from service.settings import Settings

CLASS, TOKEN = next(iter(SAMPLE_CLASSES)), "<benchmark-1>"
#: By accelerate's word.
Precision = Literal["no", "bf16"]
#: Whose U-Net computes its blocks twice a step, in less memory.
Checkpointed = Literal["neither", "ours", "both"]
_HERE = Path(__file__).parent
_NUM_KEPT, _NEVER = 10, 10**9


@dataclass(frozen=True)
class Base:
    """What is adapted, a diffusers folder. ``initializer``: one token; ``batch``: of both stages."""

    folder: Path
    pixels: int
    initializer: str
    batch: int


@dataclass(frozen=True)
class Task:
    """``steps``: of the two stages."""

    clone: Path
    folder: Path
    base: Base
    steps: tuple[int, int]
    threads: int
    checkpointed: Checkpointed = "neither"

    @property
    def train(self) -> Path:
        """The images that both learn from."""
        return self.folder / "samples" / "train" / CLASS

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


def ours(task: Task, out: Path, seed: int, *, as_registered: bool) -> Run:
    """`adapt` in a child: float32, or as `mini` is registered and with adapters kept."""
    words = [*map(str, task.steps), str(task.kept_every if as_registered else 0), str(task.train), str(out)]
    words += [str(task.base.folder), task.base.initializer, str(task.base.batch), str(seed)]
    words += ["gradient_checkpointing"] * (task.checkpointed != "neither")
    figures = _child(task, [str(_HERE / "our_adaptation.py"), str(out / "figures.json"), *words], out / "figures.json")
    ends, first = figures["step_ends"], task.steps[0]
    stages = (
        figures | {"step_ends": ends[:first], "networks_seconds": figures["networks_seconds"]},
        figures | {"step_ends": [end - ends[first - 1] for end in ends[first:]], "networks_seconds": 0.0},
    )
    return Run(*stages, {int(step): Path(folder) for step, folder in figures["kept"].items()})


@dataclass(frozen=True)
class Scripts:
    """Theirs, with one ``seed``. ``precision``: float32, or mixed with bfloat16."""

    task: Task
    out: Path
    seed: int
    precision: Precision = "no"

    @property
    def pipeline(self) -> Path:
        """What the first script saved: the base model with the learned token."""
        return self.out / "textual_inversion"

    def invert(self) -> dict[str, Any]:
        """The first stage."""
        return self._run(
            "textual_inversion/textual_inversion.py", self.out, self.task.steps[0],
            registered().textual_inversion.learning_rate,
            pretrained_model_name_or_path=self.task.base.folder, train_data_dir=self.task.train,
            placeholder_token=TOKEN, initializer_token=self.task.base.initializer, save_as_full_pipeline=None,
            save_steps=_NEVER, checkpointing_steps=_NEVER,
        )  # fmt: skip

    def low_rank(self, first: dict[str, Any], rate: float, *, keeping: bool) -> Run:
        """The second stage after the ``first``, which has one rate for both networks."""
        out, last, every = self.out / f"rate-{rate:g}", self.task.steps[1], self.task.kept_every
        second = self._run(
            "dreambooth/train_dreambooth_lora.py", out, last, rate,
            pretrained_model_name_or_path=self.pipeline, instance_data_dir=self.task.train,
            instance_prompt=f"A photo of {TOKEN}", train_text_encoder=None, rank=registered().lora.rank,
            checkpointing_steps=every if keeping else _NEVER,
        )  # fmt: skip
        steps = [*range(every, last, every), last] if keeping else []
        made = out / "train_dreambooth_lora"
        return Run(first, second, {step: made / f"checkpoint-{step}" if step < last else made for step in steps})

    def _run(self, name: str, out: Path, steps: int, rate: float, **flags: object) -> dict[str, Any]:
        flags |= {
            "resolution": self.task.base.pixels, "max_train_steps": steps, "learning_rate": rate,
            "lr_scheduler": "cosine", "lr_warmup_steps": max(1, steps // 20), "train_batch_size": self.task.base.batch,
            "seed": self.seed, "mixed_precision": self.precision, "output_dir": out / Path(name).stem,
        }  # fmt: skip
        flags |= {"gradient_checkpointing": None} if self.task.checkpointed == "both" else {}
        words = [str(word) for key, value in flags.items() for word in (f"--{key}", value) if word is not None]
        figures = out / f"{Path(name).stem}.json"
        runner = [str(_HERE / "diffusers_example.py"), str(figures), str(self.task.clone / "examples" / name)]
        return _child(self.task, [*runner, *words], figures)


def registered() -> AdaptationSettings:
    """What `mini` is adapted with where a request says nothing."""
    return load_base_models(Settings())["mini"].adaptation


def _child(task: Task, words: list[str], figures: Path) -> dict[str, Any]:
    figures.parent.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join([str(results_page.ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**openmp.AS_A_WORKER, **os.environ, "OMP_NUM_THREADS": str(task.threads), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{words[0]} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    return found
