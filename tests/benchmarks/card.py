"""What one card does: U-Net calls eager and compiled, training steps, resident adapters, classes an hour.

    python tests/benchmarks/card.py --scratch FOLDER                          # SD 1.5's shapes, bfloat16, on a GPU
    python tests/benchmarks/card.py --folder models/prior/mini --device cpu --dtype float32 --batches 2 --rounds 1 \\
           --eager-alone

Weights are random where no --folder is given: what it costs is the same. Shares are of the rate that the card reaches
in a large product of matrices of the same dtype, measured in the same run; floating-point operations are counted by
torch. A class is adapted by the service's default steps and searched by its default trials.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import results_page
import torch
from row_cost import drawn
from stable_diffusion_models import build
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.timesteps import schedule
from models.generation.low_rank import LowRank, answer
from service.contracts.adaptations import AdaptationSettings
from service.contracts.generations import GenerationSettings

_MATRIX = {"cuda": 8192, "cpu": 1024}
_ADAPTERS = (1, 30)
_TRAINING_BATCH = 4


class Card:
    """Times work on one device by medians of ``rounds``, after two runs that are not counted."""

    def __init__(self, base: BaseModel, rounds: int) -> None:
        self.base, self._rounds = base, rounds

    def seconds(self, work: Callable[[], object]) -> float:
        """Of one run."""
        taken = []
        for _ in range(self._rounds + 2):
            begun = time.perf_counter()
            work()
            self.base.wait()
            taken.append(time.perf_counter() - begun)
        return statistics.median(taken[2:])

    def matrix_rate(self) -> float:
        """Floating-point operations a second in a product of two square matrices."""
        side = _MATRIX[self.base.device.type]
        first, second = (torch.randn((side, side), device=self.base.device, dtype=self.base.dtype) for _ in range(2))
        return 2 * side**3 / self.seconds(lambda: first @ second)

    def inputs(self, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents, timesteps and embeddings."""
        base = self.base
        latents = torch.randn((rows, *base.latent_shape), device=base.device, dtype=base.dtype)
        context = base.encode_prompt("a photo of a defect").to(base.dtype).expand(rows, -1, -1)
        return latents, torch.full((rows,), 300, device=base.device), context

    def call(self, unet: nn.Module, rows: int, one: LowRank | None) -> Callable[[], object]:
        """A step of a generation."""
        inputs = self.inputs(rows)

        @torch.inference_mode()
        def work() -> object:
            return answer(unet, [one] * rows, *inputs)

        return work

    def training_step(self, unet: nn.Module) -> Callable[[], object]:
        """Forward, and back to the embedding of a token."""
        latents, timesteps, context = self.inputs(_TRAINING_BATCH)
        wanted = context[:1].detach().clone().requires_grad_(True)

        def work() -> object:
            predicted = unet(latents, timesteps, wanted.expand(_TRAINING_BATCH, -1, -1), return_dict=False)[0]
            return predicted.float().square().mean().backward()

        return work


def memory_of_adapters(base: BaseModel) -> list[list[str]]:
    """What so many take on the device, each with matrices of its own."""
    rows: list[list[str]] = []
    held: list[LowRank] = []
    for number in _ADAPTERS:
        held += [drawn(base, seed) for seed in range(len(held), number)]
        of_all = sum(down.nbytes + up.nbytes for one in held for down, up in one.layers.values())
        on_device = f"{torch.cuda.memory_allocated() / 2**30:.2f} GiB" if base.device.type == "cuda" else "not known"
        rows.append([f"{number}", f"{of_all / 2**20:.1f} MiB", on_device])
    return rows


def report(card: Card, batches: list[int], eager_alone: bool) -> str:
    """Tables of everything."""
    base, generation = card.base, GenerationSettings()
    rate, one = card.matrix_rate(), drawn(base, 0)
    nets: dict[str, nn.Module] = {"eager": base.unet}
    if not eager_alone:
        nets["compiled"] = torch.compile(base.unet)  # type: ignore[assignment]
    steps = schedule(base, generation.num_inference_steps, generation.strength).num_steps
    calls, fastest = [], 0.0
    for batch in batches:
        rows = batch * (2 if generation.guidance_scale > 1 else 1)
        with FlopCounterMode(display=False) as counted:
            card.call(base.unet, rows, None)()
        for name, unet in nets.items():
            seconds = card.seconds(card.call(unet, rows, one if unet is base.unet else None))
            images = batch / (seconds * steps)
            fastest = max(fastest, images if unet is base.unet else 0.0)
            share = counted.get_total_flops() / seconds / rate
            calls.append([f"{batch}", name, f"{1000 * seconds:.1f}", f"{images:.2f}", f"{100 * share:.0f} %"])
    training = [[name, f"{1 / card.seconds(card.training_step(unet)):.2f}"] for name, unet in nets.items()]
    asked = AdaptationSettings()
    trained = (asked.textual_inversion.steps + asked.lora.steps) / float(training[0][1])
    searched = asked.search.max_trials * asked.search.images_per_trial / fastest
    table = results_page.markdown_table
    return "\n\n".join([
        f"Product of matrices: {rate / 1e12:.1f} TFLOP/s.",
        table(
            ["images at once", "U-Net, with an adapter where eager", "a call, ms", "images/s, U-Net alone",
             "of the matrix rate"], calls,
        ),
        table([f"training, batch of {_TRAINING_BATCH}", "steps/s"], training),
        table(["adapters", "their matrices", "allocated on the device"], memory_of_adapters(base)),
        f"An adaptation of {asked.textual_inversion.steps} and {asked.lora.steps} steps and a search of "
        f"{asked.search.max_trials} trials: {trained:.0f} and {searched:.0f} s in the U-Net, "
        f"{3600 / (trained + searched):.1f} classes an hour.",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="a diffusers folder; SD 1.5's shapes when left out")
    parser.add_argument("--scratch", type=Path, default=Path("build/stable-diffusion"), help="for a model made here")
    parser.add_argument("--px", type=int, default=512, help="side of the images of a model made here")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--eager-alone", action="store_true", help="compile nothing")
    parser.add_argument("--page", type=Path, help="also write the section `card` of this page")
    arguments = parser.parse_args()
    dtype = getattr(torch, arguments.dtype)
    folder = arguments.folder or build("sd15", arguments.scratch / f"sd15-{arguments.px}", dtype, arguments.px)
    base = load_base_model(str(folder), device=arguments.device, dtype=arguments.dtype)
    base.unet.requires_grad_(False)
    card = Card(base, arguments.rounds)
    text = (
        f"## One card\n\n{results_page.provenance()}; {base.precision}.\n\n"
        f"{report(card, arguments.batches, arguments.eager_alone)}"
    )
    print(text)
    if arguments.page is not None:
        results_page.write_section("card", text, arguments.page)


if __name__ == "__main__":
    main()
