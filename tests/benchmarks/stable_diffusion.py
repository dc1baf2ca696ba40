"""Time and memory of a Stable Diffusion of real shapes: adaptation, search, judged generation, quality report.

    python tests/benchmarks/stable_diffusion.py --model sd15 sd21            # a few steps on a CPU, minutes
    python tests/benchmarks/stable_diffusion.py --model sd15 sd21 --device cuda --dtype bfloat16

Weights are random, so the images show nothing; what it costs is the same. Each model runs in a process of its own,
so that one's peak memory is not the other's.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import results_page
import torch
from PIL import Image
from results_page import markdown_table
from stable_diffusion_models import SHAPES, build

from models.adaptation.config import AdaptationConfig, LoraTrainingConfig, TextualInversionConfig
from models.adaptation.trainer import AdaptationOutcome, adapt
from models.adapter import load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.latents import round_trip
from models.evaluation.copies import CopyGate
from models.evaluation.features import FeatureExtractor, extract
from models.evaluation.gates import Gates
from models.evaluation.mini import load_mini
from models.evaluation.outliers import OutlierGate
from models.evaluation.quality import ExtractorIdentity, assess
from models.generation.config import GenerationConfig
from models.generation.denoising import Conditioning
from models.generation.engine import Sampler, encode_sources
from models.imaging.fit import FitPolicy
from models.prior.samples import SAMPLE_CLASSES, write_samples
from models.progress import no_progress
from models.search.scoring import TrialMaterial, TrialScorer
from models.search.search import search
from models.search.space import SearchSpace
from models.search.trials import SearchSettings

_EXTRACTOR = results_page.ROOT / "models" / "prior" / "mini" / "extractor"
_CLASS = next(iter(SAMPLE_CLASSES))
_GIB = 2**30
_STRENGTH, _GUIDANCE = 0.5, 4.0


@dataclass(frozen=True)
class Size:
    """How much is done. ``side_px``: of the model's images. The same ``steps`` for both stages of training."""

    model: str
    device: str
    dtype: str
    side_px: int
    steps: int
    batch: int
    real: int
    trials: int
    images: int
    inference_steps: int


@dataclass
class Measured:
    """What one model cost: seconds of each part, counts, and the most memory up to the end of each part."""

    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    peak_gib: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str, device: str) -> Iterator[None]:
        """Time it, whole, and look at the memory."""
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        begun = time.monotonic()
        yield
        if device == "cuda":
            torch.cuda.synchronize()
            self.peak_gib[f"{name}, CUDA"] = torch.cuda.max_memory_allocated() / _GIB
        self.seconds[name] = time.monotonic() - begun
        self.peak_gib[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _GIB
        print(f"  {name}: {self.seconds[name]:.1f} s, at most {self.peak_gib[name]:.1f} GiB so far", flush=True)


def measure(size: Size, folder: Path) -> Measured:
    """The product's own path through one model, from the folder to the quality report."""
    measured = Measured()
    extractor = load_mini(_EXTRACTOR, size.device)
    with tempfile.TemporaryDirectory() as scratch:
        real = _pictures(Path(scratch), size.real)
        with measured.part("loading", size.device):
            base = load_base_model(str(folder), device=size.device, dtype=size.dtype, name=size.model)
        for name, network in (("U-Net", base.unet), ("text encoder", base.text_encoder), ("VAE", base.vae)):
            measured.figures[f"parameters of the {name}, M"] = sum(p.numel() for p in network.parameters()) / 1e6
        with measured.part("adaptation", size.device):
            outcome = _adapted(base, real, size, Path(scratch))
        for stage, seconds in outcome.stage_seconds.items():
            is_training = stage != "caching_latents"
            what = f"training step, {stage.replace('_', ' ')}, s" if is_training else "caching an image's latents, s"
            measured.figures[what] = seconds / (size.steps if is_training else size.real)
        with measured.part("search", size.device):
            _searched(base, real, extractor, outcome, size)
        measured.figures["search, s a trial"] = measured.seconds["search"] / size.trials
        with measured.part("generation", size.device):
            _generated(base, real, extractor, outcome, size, measured)
    return measured


def _adapted(base: BaseModel, real: list[Image.Image], size: Size, scratch: Path) -> AdaptationOutcome:
    config = AdaptationConfig(
        TextualInversionConfig(steps=size.steps, batch_size=size.batch),
        LoraTrainingConfig(steps=size.steps, batch_size=size.batch, learning_rate=1e-4),
        variants_per_image=1,
        num_kept=2,
    )
    return adapt(
        base, real, config, placeholder_token="<benchmark-1>", out_dir=scratch / "adapter",
        checkpoint_dir=scratch / "checkpoints", progress=no_progress, checkpoint_seconds=1e9,
    )  # fmt: skip


def _searched(
    base: BaseModel, real: list[Image.Image], extractor: FeatureExtractor, outcome: AdaptationOutcome, size: Size
) -> None:
    features = extract(extractor, real)
    gate = CopyGate.fit(real, features)
    material = TrialMaterial(
        base=base,
        sources=encode_sources(base, real, FitPolicy.RESIZE),
        adapters={name: load_adapter(folder) for name, folder in outcome.kept.items()},
        reference=features,
        extractor=extractor,
        are_copies=lambda samples, made: [
            verdict.is_copy
            for verdict in gate.judge([one.image for one in samples], made, [one.source_indices for one in samples])
        ],
        num_images=size.images,
        batch_size=size.batch,
    )
    space = SearchSpace(tuple(outcome.kept), num_inference_steps=(size.inference_steps,))
    settings = SearchSettings(max_trials=size.trials)
    search(space, settings, TrialScorer(material, no_progress, size.trials))


def _generated(
    base: BaseModel, real: list[Image.Image], extractor: FeatureExtractor, outcome: AdaptationOutcome, size: Size,
    measured: Measured,
) -> None:  # fmt: skip
    """Judged images; the report is of all that were made, for random weights make outliers alone."""
    adapter = load_adapter(list(outcome.kept.values())[-1])
    features = extract(extractor, real)
    gates = Gates(
        copy=CopyGate.fit(real, features), klass=None, outlier=OutlierGate.fit(features), class_name=_CLASS
    )  # fmt: skip
    config = GenerationConfig(
        strength=_STRENGTH, guidance_scale=_GUIDANCE, num_inference_steps=size.inference_steps, batch_size=size.batch
    )
    begun = time.monotonic()
    sources = encode_sources(base, real, FitPolicy.RESIZE)
    for index in range(size.real):
        sources.latents(index)
    encoded = time.monotonic()
    sampler = Sampler(base, Conditioning.of_adapter(adapter, base), sources, config, 0, no_progress)
    samples = list(sampler.samples(range(size.images)))
    made = time.monotonic()
    images = [sample.image for sample in samples]
    rows = extract(extractor, images)
    verdicts = gates.judge(images, rows, [sample.source_indices for sample in samples])
    judged = time.monotonic()
    copied = extract(extractor, round_trip(base, real[:2], FitPolicy.RESIZE))
    assess(features, rows, ExtractorIdentity.of(extractor), seen_by_adaptation=True, round_trip=copied)
    steps = sampler.schedule.num_steps * -(-size.images // size.batch)
    measured.figures |= {
        "encoding an image, s": (encoded - begun) / size.real,
        "denoising step, s": sampler.stage_seconds["denoising"] / steps,
        "denoising an image, s": sampler.stage_seconds["denoising"] / size.images,
        "decoding an image, s": sampler.stage_seconds["decoding"] / size.images,
        "judging an image, s": (judged - made) / size.images,
        "report, s": time.monotonic() - judged,
        "images/s": size.images / (judged - encoded),
        "denoising steps": sampler.schedule.num_steps,
        "accepted": sum(verdict.reason is None for verdict in verdicts),
    }


def _pictures(scratch: Path, count: int) -> list[Image.Image]:
    write_samples(scratch / "samples", images_per_class=count)
    paths = sorted((scratch / "samples" / "train" / _CLASS).glob("*.png"))
    pictures = []
    for path in paths:
        with Image.open(path) as opened:
            pictures.append(opened.convert("L"))
    return pictures


def table(sizes: list[Size], measured: list[Measured]) -> str:
    """A row a figure, a column a model."""
    header = ["", *(f"{size.model}, {SHAPES[size.model].prediction_type}" for size in sizes)]
    rows = [
        ["images, px", *(f"{size.side_px}" for size in sizes)],
        ["device, dtype", *(f"{size.device}, {size.dtype}" for size in sizes)],
        ["training: steps a stage, batch", *(f"{size.steps}, {size.batch}" for size in sizes)],
        ["search: trials, images a trial", *(f"{size.trials}, {size.images}" for size in sizes)],
    ]
    for key in measured[0].figures:
        rows.append([key, *(f"{one.figures[key]:.3g}" for one in measured)])
    for part in measured[0].seconds:
        rows.append([f"{part}, s in all", *(f"{one.seconds[part]:.1f}" for one in measured)])
    for part in measured[0].peak_gib:
        rows.append([f"peak memory until the end of {part}, GiB", *(f"{one.peak_gib[part]:.1f}" for one in measured)])
    return markdown_table(header, rows)


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.one is not None:
        size = Size(**json.loads(arguments.one))
        measured = measure(size, _folder(arguments.out, size))
        (arguments.out / f"{size.model}.json").write_text(json.dumps(asdict(measured)), encoding="utf-8")
        return
    commit = results_page.commit()  # of what is measured, whatever is committed meanwhile
    sizes = [_size(name, arguments) for name in arguments.model]
    results = [_in_a_process(size, arguments.out) for size in sizes]
    gpu = f", {torch.cuda.get_device_name()}" if arguments.device == "cuda" else ""
    text = (
        "## Stable Diffusion's shapes\n\n"
        f"`{results_page.command()}`\n\n"
        f"Commit {commit}; {results_page.machine()}{gpu}; {results_page.today()}; "
        f"{torch.get_num_threads()} torch threads. Random weights of the published shapes: what it costs, not what it "
        f"draws. Image-oriented, strength {_STRENGTH:g}, guidance {_GUIDANCE:g} (two passes of the U-Net a step). "
        f"{arguments.note}\n\n"
        f"{table(sizes, results)}"
    )
    print(text)
    if arguments.page is not None:
        results_page.write_section(f"stable-diffusion-{arguments.device}", text, arguments.page)


def _in_a_process(size: Size, out: Path) -> Measured:
    out.mkdir(parents=True, exist_ok=True)
    folder = _folder(out, size)
    print(f"{size.model}: building {folder}", flush=True)
    build(size.model, folder, getattr(torch, size.dtype), size.side_px)
    command = [sys.executable, str(Path(__file__).resolve()), "--out", str(out), "--one", json.dumps(asdict(size))]
    subprocess.run(command, check=True)
    return Measured(**json.loads((out / f"{size.model}.json").read_text(encoding="utf-8")))


def _folder(out: Path, size: Size) -> Path:
    return out / f"{size.model}-{size.dtype}-{size.side_px}"


def _size(name: str, arguments: argparse.Namespace) -> Size:
    """Full size on a GPU; on a CPU a side of 256 px and as few steps as show what one costs."""
    large = arguments.device == "cuda"
    return Size(
        model=name,
        device=arguments.device,
        dtype=arguments.dtype or ("bfloat16" if large else "float32"),
        side_px=arguments.side_px or (SHAPES[name].side_px if large else 256),
        steps=arguments.steps or (100 if large else 2),
        batch=arguments.batch or (4 if large else 1),
        real=20 if large else 4,
        trials=arguments.trials or (4 if large else 2),
        images=arguments.images or (16 if large else 2),
        inference_steps=arguments.inference_steps or (30 if large else 4),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=sorted(SHAPES), default=sorted(SHAPES))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="cuda: bfloat16; cpu: float32")
    parser.add_argument("--side-px", type=int, help="cuda: the model's own, 512 or 768; cpu: 256")
    parser.add_argument("--steps", type=int, help="training steps of each stage")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--images", type=int, help="of each trial, and of the generation")
    parser.add_argument("--inference-steps", type=int)
    parser.add_argument("--out", type=Path, default=Path(".neu/stable-diffusion"), help="models and figures")
    parser.add_argument("--page", type=Path, help="also write a section of this page, such as docs/results.md")
    parser.add_argument("--note", default="", help="a sentence to print with the figures, such as what else ran")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # the process of one model
    return parser


if __name__ == "__main__":
    main()
