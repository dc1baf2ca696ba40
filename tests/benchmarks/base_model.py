"""What the bundled base model and its extractor are good for, on real images: the tables of its model card.

    python tests/benchmarks/base_model.py --data FOLDER --split 0 --seeds 0 1 --sheets .sheets

FOLDER holds images/CLASS/*.jpg and splits.json: the split's training images are what a class is adapted to, its test
images what it is scored against. For each class and seed it adapts `mini` at its registered settings and scores 48
images from noise before and after, image-oriented ones and spliced ones, with a sheet of each in --sheets. Before that
it asks whether the extractor ranks what it should, and what the autoencoder loses to a classifier.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from neu_plan import all_classes, read_splits
from PIL import Image, ImageFilter

from models.adaptation.trainer import adapt
from models.adapter import Adapter, load_adapter
from models.diffusion.base_model import BaseModel, load_base_model
from models.diffusion.latents import round_trip
from models.evaluation.copies import CopyGate, distance_blocks
from models.evaluation.features import FeatureExtractor, Features, extract
from models.evaluation.frechet import frechet_distance
from models.evaluation.kernel import squared_mmd
from models.evaluation.mini import load_mini
from models.evaluation.splits import split_scores
from models.generation.config import GenerationConfig, GenerationMode
from models.generation.denoising import Conditioning
from models.generation.engine import Sample, Sampler, Sources, encode_sources
from models.imaging.arrays import load_image
from models.imaging.contact_sheet import SheetStyle, contact_sheet
from models.imaging.fit import FitPolicy
from models.progress import no_progress
from models.recognition.classifier import TrainingSet, probabilities, train
from models.recognition.config import ClassifierConfig, TrainingConfig
from models.recognition.data import Labelled, as_tensor
from service.registry import BaseModelEntry, load_base_models
from service.settings import Settings
from worker.jobs.adaptation import configured

Images = dict[str, list[Image.Image]]
NUM_IMAGES = 48


def loaded(files: dict[str, list[Path]]) -> Images:
    return {name: [load_image(path, formats=None) for path in paths] for name, paths in files.items()}


def adapted(base: BaseModel, entry: BaseModelEntry, images: list[Image.Image], seed: int) -> Adapter:
    config = replace(configured(entry.adaptation), seed=seed, num_kept=1)
    with tempfile.TemporaryDirectory() as name:
        adapt(base, images, config, placeholder_token="<class-1>", out_dir=Path(name) / "adapter",
              checkpoint_dir=Path(name) / "checkpoints", progress=no_progress)  # fmt: skip
        return load_adapter(Path(name) / "adapter")


def quality_rows(
    base: BaseModel, entry: BaseModelEntry, extractor: FeatureExtractor, real: tuple[Images, Images], seeds: list[int],
    sheets: Path,
) -> Iterator[str]:  # fmt: skip
    """KID to the test images: before, after, image-oriented, spliced; the floor is half of them against the rest."""
    for name, sources in real[0].items():
        reference, known = extract(extractor, real[1][name]), extract(extractor, sources)
        gate, encoded = CopyGate.fit(sources, known), encode_sources(base, sources, FitPolicy.RESIZE)
        floor = split_scores(reference, reference).real_floor.kid
        for seed in seeds:
            unadapted = Conditioning.of_words(f"a photo of {entry.adaptation.textual_inversion.initializer_text}", base)
            before = made(base, unadapted, encoded, entry, GenerationMode.FROM_NOISE, seed)
            adapter = adapted(base, entry, sources, seed)
            prompts = Conditioning.of_adapter(adapter, base)
            after = made(base, prompts, encoded, entry, GenerationMode.FROM_NOISE, seed)
            oriented = made(base, prompts, encoded, entry, GenerationMode.IMAGE_ORIENTED, seed)
            spliced = made(base, prompts, encoded, entry, GenerationMode.IMAGE_ORIENTED, seed, splice_sources=True)
            kids = [squared_mmd(reference, features_of(extractor, one)) for one in (before, after, oriented, spliced)]
            share = (kids[1] - floor) / (kids[0] - floor)
            passing = " | ".join(passes(gate, extractor, one) for one in (oriented, spliced))
            yield (
                f"| {name} | {seed} | {kids[0]:.2f} | {kids[1]:.2f} | {100 * share:.0f} % | {kids[2]:.2f} "
                f"| {kids[3]:.2f} | {floor:.3f} | {passing} |"
            )
            shown = [one.image for samples in (after, oriented, spliced) for one in samples[:16]]
            title = "two rows each: from noise, image-oriented, spliced"
            sheet = contact_sheet(sources, shown, name, title, SheetStyle(max_synthetic_rows=6))
            sheet.save(sheets / f"{name}-{seed}.png")


def passes(gate: CopyGate, extractor: FeatureExtractor, samples: list[Sample]) -> str:
    """How many are no copies, by features alone and by the gate: two cells."""
    features = features_of(extractor, samples)
    nearest = np.concatenate([block.min(axis=1) for _, block in distance_blocks(features, gate.features)])
    verdicts = gate.judge([one.image for one in samples], features, [one.source_indices for one in samples])
    copies = sum(verdict.is_copy for verdict in verdicts)
    return f"{(nearest >= gate.feature_threshold).sum()}/{len(samples)} | {len(samples) - copies}/{len(samples)}"


def made(
    base: BaseModel, prompts: Conditioning, encoded: Sources, entry: BaseModelEntry, mode: GenerationMode, seed: int,
    splice_sources: bool = False,
) -> list[Sample]:  # fmt: skip
    usual = entry.generation
    config = GenerationConfig(
        mode, usual.strength, usual.guidance_scale, usual.num_inference_steps, splice_sources=splice_sources
    )
    return list(Sampler(base, prompts, encoded, config, seed, no_progress).samples(range(NUM_IMAGES)))


def features_of(extractor: FeatureExtractor, samples: list[Sample]) -> Features:
    return extract(extractor, [sample.image for sample in samples])


def labelled(images: Images) -> Labelled:
    pairs = [(image, label) for label, name in enumerate(images) for image in images[name]]
    return Labelled([image for image, _ in pairs], [label for _, label in pairs])


def round_trip_row(base: BaseModel, real: tuple[Images, Images]) -> str:
    """A classifier trained on originals, asked about test images before and after the autoencoder."""
    trained_on, asked = labelled(real[0]), labelled(real[1])
    config = TrainingConfig(steps=800)
    images = TrainingSet(
        as_tensor(trained_on, config.image_size_px), torch.tensor(trained_on.labels),
        torch.zeros(len(trained_on), dtype=torch.bool), augment=True,
    )  # fmt: skip
    kept = Labelled(round_trip(base, asked.images, FitPolicy.RESIZE), asked.labels)
    native = Labelled(
        [image.resize((base.native_size_px,) * 2, Image.Resampling.BICUBIC) for image in asked.images], asked.labels
    )
    right = []
    for seed in range(3):
        trained = train(images, len(real[0]), ClassifierConfig(), config, seed, "cpu", no_progress)
        right.append([share_right(trained.model, one, config.image_size_px) for one in (native, kept)])
    before, after = np.mean(right, axis=0)
    return f"| {100 * before:.1f} % | {100 * after:.1f} % | {100 * after / before:.1f} % |"


def share_right(model: torch.nn.Module, images: Labelled, size_px: int) -> float:
    told = probabilities(model, as_tensor(images, size_px), "cpu").argmax(dim=1)
    return float((told == torch.tensor(images.labels)).float().mean())


def ranking_rows(extractor: FeatureExtractor, test: Images) -> Iterator[str]:
    """FID between the halves of a class and to the nearest class; then of the class made worse, as Heusel et al. do.

    A disturbance is ranked when FID to the undisturbed images rises at each of its steps (arXiv 1706.08500, figure 3).
    """
    features = {name: extract(extractor, images) for name, images in test.items()}
    names = list(test)
    for name, images in test.items():
        within = frechet_distance(features[name][::2], features[name][1::2])
        between = min(frechet_distance(features[name][::2], features[one][::2]) for one in names if one != name)
        other = test[names[(names.index(name) + 1) % len(names)]]
        ladders = [
            [[worse(image, step) for image in images] for step in range(1, 4)] for worse in (blurred, noised)
        ] + [[mixed(images, other, step) for step in range(1, 4)]]
        distances = [[frechet_distance(features[name], extract(extractor, rung)) for rung in one] for one in ladders]
        told = [
            f"{', '.join(f'{rung:.1f}' for rung in one)} {'rises' if all(np.diff([0.0, *one]) > 0) else 'FALLS'}"
            for one in distances
        ]
        yield f"| {name} | {within:.1f} | {between:.1f} | {between / within:.1f} | {' | '.join(told)} |"


def blurred(image: Image.Image, step: int) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(0.7 * step))


def noised(image: Image.Image, step: int) -> Image.Image:
    rng = np.random.default_rng(0)
    noisy = np.asarray(image, dtype=np.float64) + rng.normal(0, 8 * step, np.asarray(image).shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def mixed(images: list[Image.Image], other: list[Image.Image], step: int) -> list[Image.Image]:
    number = len(images) * step // 5
    return [*other[:number], *images[number:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sheets", type=Path, default=Path(".sheets"))
    arguments = parser.parse_args()
    sheets = arguments.sheets / f"split-{arguments.split}"
    sheets.mkdir(parents=True, exist_ok=True)
    entry = load_base_models(Settings())["mini"]
    base, extractor = (
        load_base_model(entry.path, name="mini", bfloat16_on_cpu=entry.bfloat16_on_cpu),
        load_mini(Path(entry.path) / "extractor"),
    )
    [split] = read_splits(arguments.data, all_classes(arguments.data), 20, 100, [arguments.split])
    real = loaded(split.train), loaded(split.test)
    parts: list[tuple[str, Callable[[], Iterator[str]]]] = [
        (
            "| class | within | to the nearest class | ratio | blur | noise | mixing |",
            lambda: ranking_rows(extractor, real[1]),
        ),
        ("| accuracy on originals | after the round trip | kept |", lambda: iter([round_trip_row(base, real)])),
        (
            "| class | seed | unadapted | adapted, from noise | left of it | image-oriented | spliced | floor "
            "| pass by features | pass | spliced, by features | pass |",
            lambda: quality_rows(base, entry, extractor, real, arguments.seeds, sheets),
        ),
    ]
    for head, rows in parts:
        print(f"{head}\n|{'---|' * (head.count('|') - 1)}", flush=True)
        for row in rows():
            print(row, flush=True)
        print()


if __name__ == "__main__":
    main()
