"""Does torch.compile, or another memory layout, pay for a run of the length that jobs have? A table, by turns.

    python tests/benchmarks/compiled.py --threads 2

The U-Net alone, as `mini` is registered: a call of 24 rows, as a generation's step takes, and a step of textual
inversion of eight, with the gradient for a prompt's embedding. Compiling is timed by the first call; the runs that it
is spread over are those of an adaptation of one class and of 24 images for each of six.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import openmp  # noqa: F401  # before torch
import results_page
import torch
from torch import nn

from models.diffusion.base_model import BaseModel, load_base_model
from service.registry import load_base_models
from service.settings import Settings

_CALL_ROWS, _TRAINING_ROWS = 24, 8
#: Of an adaptation of one class (100 and 250 steps), and of 24 images a class of six, six steps each.
_TRAINING_STEPS, _CALLS = 350, 36


@dataclass
class Variant:
    """A U-Net of its own, and seconds by what was done with it; ``first``: of the first time."""

    unet: nn.Module
    base: BaseModel
    first: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def take(self, name: str, work: Callable[["Variant"], None]) -> None:
        """Do it once more."""
        begun = time.perf_counter()
        work(self)
        taken = time.perf_counter() - begun
        if name not in self.first:
            self.first[name] = taken
        else:
            self.seconds.setdefault(name, []).append(taken)


def inputs(base: BaseModel, num_rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents and a timestep for each row, and an embedding."""
    draws = torch.Generator().manual_seed(0)
    latents = torch.randn((num_rows, *base.latent_shape), generator=draws)
    return latents, torch.randint(1000, (num_rows,), generator=draws), base.encode_prompt("a photo of a defect")


def call(variant: Variant) -> None:
    """Without gradients."""
    latents, timesteps, context = inputs(variant.base, _CALL_ROWS)
    with torch.inference_mode():
        variant.unet(latents, timesteps, context.expand(_CALL_ROWS, -1, -1), return_dict=False)


def training_step(variant: Variant) -> None:
    """Forward and back to the embedding."""
    latents, timesteps, context = inputs(variant.base, _TRAINING_ROWS)
    wanted = context.detach().requires_grad_(True)
    predicted = variant.unet(latents, timesteps, wanted.expand(_TRAINING_ROWS, -1, -1), return_dict=False)[0]
    predicted.float().square().mean().backward()


def opened() -> BaseModel:
    entry = load_base_models(Settings())["mini"]
    base = load_base_model(entry.path, name="mini", bfloat16_on_cpu=entry.bfloat16_on_cpu)
    base.unet.requires_grad_(False)
    return base


def variants() -> dict[str, Variant]:
    """A model each."""
    plain, last, compiled = opened(), opened(), opened()
    last.unet.to(memory_format=torch.channels_last)
    return {
        "as it is": Variant(plain.unet, plain),
        "channels last": Variant(last.unet, last),
        "torch.compile": Variant(torch.compile(compiled.unet), compiled),  # type: ignore[arg-type]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sides = variants()
    work = {f"a call of {_CALL_ROWS} rows": (call, _CALLS), "a training step": (training_step, _TRAINING_STEPS)}
    for name, (done, _) in work.items():
        for _ in range(arguments.rounds + 1):
            for side in sides.values():
                side.take(name, done)
    rows = []
    for name, (_, times) in work.items():
        usual = statistics.median(sides["as it is"].seconds[name])
        for title, side in sides.items():
            own = statistics.median(side.seconds[name])
            once = side.first[name] - own
            rows.append([
                name, title, f"{1000 * own:.0f}", f"{usual / own:.2f}", f"{once:.1f}",
                f"{usual * times / (own * times + max(once, 0.0)):.2f}",
            ])  # fmt: skip
    header = ["", "", "ms", "times as fast", "once, s", f"of a job's {_CALLS} calls, {_TRAINING_STEPS} steps"]
    print(
        f"{results_page.provenance()}; {torch.get_num_threads()} torch threads; "
        f"{Path(sides['as it is'].base.name).name}, "
        f"{sides['as it is'].base.precision}.\n\n{results_page.markdown_table(header, rows)}"
    )


if __name__ == "__main__":
    main()
