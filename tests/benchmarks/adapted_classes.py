"""Drawn classes, each with an adapter of its own, for benchmarks of generation; and the settings they share."""

from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.trainer import adapt
from models.adapter import load_adapter
from models.diffusion.base_model import BaseModel
from models.generation.config import GenerationConfig
from models.generation.denoising import Conditioning
from models.generation.engine import Sources, encode_sources
from models.imaging.fit import FitPolicy
from models.prior.samples import SAMPLE_CLASSES, write_samples
from models.progress import no_progress

_REAL = 20
#: As many as a worker makes at once of `mini` (`BaseModel.batch_size`); larger models are given the same.
BATCH = 24
#: As `mini` is registered.
CONFIG = GenerationConfig(strength=0.5, guidance_scale=1.0, num_inference_steps=12, batch_size=BATCH)


@dataclass(frozen=True)
class Class:
    """A class with its adapter: the folder for diffusers, the rest for ours. ``held_out``: what KID is to."""

    name: str
    folder: Path
    prompt: str
    real: list[Image.Image]
    held_out: list[Image.Image]
    sources: Sources
    conditioning: Conditioning


def hardly_trained(steps: int) -> AdaptationConfig:
    """So many steps of each stage: such an adapter costs what any costs, and its images say nothing of quality."""
    return AdaptationConfig(
        TextualInversionConfig(steps=steps, batch_size=4), LoraTrainingConfig(steps=steps, batch_size=4),
        variants_per_image=1,
    )  # fmt: skip


def classes(base: BaseModel, config: AdaptationConfig, trained: int, count: int, scratch: Path) -> list[Class]:
    """Drawn surfaces, each class with its own adapter; more classes than there are surfaces use them again.

    Beyond ``trained`` an adapter's file is opened again: its matrices are other tensors, and cost what another's do.
    """
    write_samples(scratch / "samples", images_per_class=_REAL)
    made: list[Class] = []
    for number in range(trained):
        name = list(SAMPLE_CLASSES)[number % len(SAMPLE_CLASSES)]
        real, held_out = (
            _images(folder, base)
            for folder in (scratch / "samples" / split / name for split in ("train", "validation"))
        )
        folder = scratch / f"adapter-{number}"
        own = replace(config, seed=number, num_kept=1)
        adapt(base, real, own, placeholder_token=f"<class-{number}>", out_dir=folder,
              checkpoint_dir=folder / "checkpoints", progress=no_progress)  # fmt: skip
        adapter = load_adapter(folder)
        sources = encode_sources(base, real, FitPolicy.RESIZE)
        conditioning = Conditioning.of_adapter(adapter, base)
        made.append(Class(name, folder, adapter.card.prompt, real, held_out, sources, conditioning))
    again = (made[number % trained] for number in range(trained, count))
    opened = [replace(one, conditioning=Conditioning.of_adapter(load_adapter(one.folder), base)) for one in again]
    return made + opened


def _images(folder: Path, base: BaseModel) -> list[Image.Image]:
    opened = (Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png")))
    return [image.resize((base.native_size_px,) * 2) for image in opened]
