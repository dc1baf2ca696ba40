"""What benchmarks share: the table they print, and a model of `mini`'s size."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "ACTIVE")  # as a worker does, before torch is loaded (worker/__main__.py)
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import pytest
import torch
from rich.console import Console
from rich.table import Table

from service.logs import configure_logs

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "prior" / "mini"


@dataclass
class Figures:
    """Measured figures beside their targets. A missed target is shown and fails nothing: machines differ."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, measured: float, unit: str, below: float | None = None) -> None:
        """``below``: the target, in the same unit; none where a figure is only stated."""
        target = f"< {below:g} {unit}" if below is not None else "stated"
        missed = "missed" if below is not None and measured >= below else ""
        self.rows.append(
            (what, f"{measured:.3g} {unit}" if measured < 100 else f"{measured:.0f} {unit}", target, missed)
        )

    def table(self) -> Table:
        """A row a figure."""
        shown = Table("what", "measured", "target", "", title=f"{torch.get_num_threads()} torch threads")
        for row in self.rows:
            shown.add_row(*row)
        return shown


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    """Printed once, when the last benchmark has run."""
    torch.set_num_threads(2)
    configure_logs(logging.WARNING)
    collected = Figures()
    yield collected
    console = Console()
    console.print()
    console.print(collected.table())


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled base model, or one of its shape with random weights: what it costs is the same."""
    if (BUNDLED / "model_index.json").is_file():
        return BUNDLED
    return untrained_mini(tmp_path_factory.mktemp("models") / "mini")


def untrained_mini(folder: Path) -> Path:
    """The recipe's networks as they are before training."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from models.evaluation.mini import MiniNetwork, save_mini
    from models.prior.recipe import NOISE_SCHEDULE, Recipe, build_text_encoder, build_unet, build_vae
    from models.prior.vocabulary import trained_tokenizer

    recipe = Recipe()
    torch.manual_seed(0)
    tokenizer = trained_tokenizer(["a photo of a defect"] * 10, recipe.max_tokens)
    bos, eos = int(tokenizer.bos_token_id), int(tokenizer.eos_token_id)
    StableDiffusionPipeline(
        vae=build_vae(recipe), text_encoder=build_text_encoder(recipe, len(tokenizer), bos, eos), tokenizer=tokenizer,
        unet=build_unet(recipe), scheduler=DDIMScheduler(**NOISE_SCHEDULE), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)  # fmt: skip
    save_mini(MiniNetwork(), folder / "extractor")
    return folder
