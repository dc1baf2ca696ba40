"""Does bfloat16 on the CPU cost quality? `mini` adapted and asked for images in both precisions, by turns. A table.

    python tests/benchmarks/precision.py

Both sides learn from the same drawn surfaces with the same seeds, at the registered settings, and make images of the
same sources and noise; KID is against images that nobody trained on. The other seeds show how far luck alone moves it.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import results_page
import torch
from PIL import Image
from results_page import markdown_table

from models.adaptation.trainer import adapt
from models.adapter import load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.evaluation.features import FeatureExtractor, Features, extract
from models.evaluation.kernel import kernel_distance
from models.evaluation.mini import load_mini
from models.generation.config import GenerationConfig
from models.generation.denoising import Conditioning
from models.generation.engine import Sampler, encode_sources
from models.imaging.fit import FitPolicy
from models.prior.samples import SAMPLE_CLASSES, write_samples
from models.progress import no_progress
from service.registry import load_base_models
from service.settings import Settings
from worker.jobs.adaptation import configured

_NUM_REAL = 20


@dataclass(frozen=True)
class Shown:
    """One adaptation with its images: scores, the loss at its end, seconds, and the images themselves."""

    kid: float
    kid_std: float
    loss: float
    training_seconds: float
    seconds_an_image: float
    images: list[Image.Image]


@dataclass(frozen=True)
class Surface:
    """A class's pictures, and the features of those that nobody trains on."""

    train: list[Image.Image]
    held_out: Features
    extractor: FeatureExtractor


def shown(base: BaseModel, surface: Surface, seed: int, steps: tuple[int, int] | None, num_images: int) -> Shown:
    """Adapt, generate, score."""
    entry = load_base_models(Settings())["mini"]
    config = dataclasses.replace(configured(entry.adaptation), seed=seed, num_kept=1)
    if steps:
        inversion = dataclasses.replace(config.textual_inversion, steps=steps[0])
        config = dataclasses.replace(
            config, textual_inversion=inversion, lora=dataclasses.replace(config.lora, steps=steps[1])
        )
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.perf_counter()
        outcome = adapt(
            base, surface.train, config, placeholder_token="<benchmark-1>", out_dir=Path(scratch) / "adapter",
            checkpoint_dir=Path(scratch) / "checkpoints", progress=no_progress,
        )  # fmt: skip
        trained = time.perf_counter()
        adapter = load_adapter(Path(scratch) / "adapter")
    usual = entry.generation
    settings = GenerationConfig(
        strength=usual.strength, guidance_scale=usual.guidance_scale, num_inference_steps=usual.num_inference_steps
    )
    sources = encode_sources(base, surface.train, FitPolicy.RESIZE)
    sampler = Sampler(base, Conditioning.of_adapter(adapter, base), sources, settings, seed, no_progress)
    encoded = time.perf_counter()
    images = [sample.image for sample in sampler.samples(range(num_images))]
    made = time.perf_counter()
    score = kernel_distance(surface.held_out, extract(surface.extractor, images))
    losses = [point.loss for point in outcome.loss_curve if point.stage == "lora"]
    last = losses[-max(1, len(losses) // 5) :]
    return Shown(
        score.kid, score.kid_std, statistics.mean(last), trained - begun, (made - encoded) / num_images, images
    )


def _surface(folder: Path, name: str, extractor: FeatureExtractor) -> Surface:
    def pictures(split: str) -> list[Image.Image]:
        return [Image.open(path).convert("L") for path in sorted((folder / split / name).glob("*.png"))]

    return Surface(pictures("train"), extract(extractor, pictures("validation")), extractor)


def _grey_levels(first: list[Image.Image], second: list[Image.Image]) -> float:
    pairs = zip(first, second, strict=True)
    tensors = ((torch.tensor(list(one.tobytes())), torch.tensor(list(other.tobytes()))) for one, other in pairs)
    return statistics.mean(float((one - other).abs().float().mean()) for one, other in tensors)


def main() -> None:
    """Parse the command line, run both, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", default=list(SAMPLE_CLASSES), choices=list(SAMPLE_CLASSES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs=2, help="of both stages; as registered where left out")
    parser.add_argument("--images", type=int, default=40)
    arguments = parser.parse_args()
    path = load_base_models(Settings())["mini"].path
    exact, fast = (load_base_model(path, name="mini", bfloat16_on_cpu=cast) for cast in (False, True))
    if exact.precision == fast.precision:
        raise SystemExit("This CPU has no bfloat16 instructions: both sides would be the same.")
    extractor = load_mini(Path(path) / "extractor")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        write_samples(Path(scratch), images_per_class=_NUM_REAL)
        for name in arguments.classes:
            surface = _surface(Path(scratch), name, extractor)
            for seed in range(arguments.seeds):
                a, b = (shown(base, surface, seed, arguments.steps, arguments.images) for base in (exact, fast))
                rows.append(
                    [name, str(seed), f"{a.kid:.3f} ± {a.kid_std:.3f}", f"{b.kid:.3f} ± {b.kid_std:.3f}",
                     f"{a.loss:.4f}", f"{b.loss:.4f}", f"{_grey_levels(a.images, b.images):.1f}",
                     f"{a.training_seconds / b.training_seconds:.2f}",
                     f"{a.seconds_an_image / b.seconds_an_image:.2f}"]
                )  # fmt: skip
                print(*rows[-1], flush=True)
    print(f"\n`{results_page.command()}`, commit {results_page.commit()}, {results_page.machine()}\n")
    header = ["class", "seed", "KID, float32", "KID, bfloat16", "loss, float32", "loss, bfloat16",
              "grey levels between them", "training, times faster", "images, times faster"]  # fmt: skip
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
