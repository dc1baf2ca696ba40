"""What a row of a U-Net call costs, by how many rows the call has and of how many adapters they are.

    python tests/benchmarks/row_cost.py --threads 2

`mini` as it is registered, or in float32, with adapters whose matrices are drawn: what they cost is the same. A call of
one adapter's rows has merged weights; of several, their matrices beside it (`models/generation/low_rank.py`).
"""

import argparse
import statistics
import time

import openmp  # noqa: F401  # before torch
import results_page
import torch

from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.lora import UNET_TARGETS
from models.generation.low_rank import LowRank, answer
from service.registry import load_base_models
from service.settings import Settings

_RANK = 8


def drawn(base: BaseModel, seed: int) -> LowRank:
    """An adapter for every attention projection."""
    draws = torch.Generator().manual_seed(seed)
    ends = tuple(f".{target}" for target in UNET_TARGETS)
    layers = {path: layer for path, layer in base.unet.named_modules() if f".{path}".endswith(ends)}
    dtype, device = base.autocast or base.dtype, base.device
    pairs = {
        path: (
            0.05 * torch.randn((layer.in_features, _RANK), generator=draws).to(device, dtype),
            0.05 * torch.randn((_RANK, layer.out_features), generator=draws).to(device, dtype),
        )
        for path, layer in layers.items()
    }
    weights = {path: base.unet.get_parameter(f"{path}.weight") for path in pairs}
    return LowRank(pairs, weights if all(one.dtype is torch.float32 for one in weights.values()) else {})


def kinds(base: BaseModel, num_rows: int) -> dict[str, list[LowRank | None]]:
    """The adapter of each row."""
    four: list[LowRank | None] = [drawn(base, seed) for seed in range(4)]
    return {
        "no adapter": [None] * num_rows,
        "one adapter": four[:1] * num_rows,
        "four adapters": [four[row * len(four) // num_rows] for row in range(num_rows)],
    }


@torch.inference_mode()
def milliseconds_a_row(base: BaseModel, num_rows: int, rounds: int) -> dict[str, float]:
    """Medians of ``rounds`` calls of each kind, by turns, after one that is not counted."""
    latents = torch.randn((num_rows, *base.latent_shape), generator=torch.Generator().manual_seed(0))
    timesteps, context = torch.full((num_rows,), 300), base.encode_prompt("a photo of a defect")
    seconds: dict[str, list[float]] = {}
    asked = kinds(base, num_rows)
    for _ in range(rounds + 1):
        for name, rows in asked.items():
            begun = time.perf_counter()
            answer(base.unet, rows, latents, timesteps, context.expand(num_rows, -1, -1))
            seconds.setdefault(name, []).append(time.perf_counter() - begun)
    return {name: 1000 * statistics.median(taken[1:]) / num_rows for name, taken in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 4, 8, 16, 24, 32])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    path = load_base_models(Settings())["mini"].path
    for bfloat16 in (True, False):
        base = load_base_model(path, name="mini", bfloat16_on_cpu=bfloat16)
        found = {rows: milliseconds_a_row(base, rows, arguments.rounds) for rows in arguments.rows}
        usual = found[8]["no adapter"] if 8 in found else next(iter(found.values()))["no adapter"]
        table = [
            [f"{rows}", *(f"{cost:.2f} ({cost / usual:.2f})" for cost in of_it.values())]
            for rows, of_it in found.items()
        ]
        print(
            f"{base.precision}, milliseconds a row (of a row of eight without adapter)\n\n"
            + results_page.markdown_table(["rows of the call", *found[arguments.rows[0]]], table)
            + "\n"
        )
    print(f"{results_page.provenance()}; {torch.get_num_threads()} torch threads.")


if __name__ == "__main__":
    main()
