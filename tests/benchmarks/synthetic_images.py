"""Which synthetic images help the classifier, and how many: what chose the defaults.

    python tests/benchmarks/synthetic_images.py --data FOLDER --proofs OUT ...

FOLDER holds images/CLASS/*.jpg and splits.json; each OUT is a folder of `neu_fewshot.py`, whose adapters of both stages
make the images; those "as found" it has made for recognition. A control splices real images in pixels, as sources are
spliced, and denoises nothing. The classifiers are asked about images that no split tests with and that are not near the
split's training images (`neu_plan.untested`), so that the tests choose nothing; but they are near test images, and
splits share most of them. What was made and trained is kept in --work; a run goes on.
"""

import argparse
import io
import json
import time
import zipfile
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any

import neu_plan
import results_page
import torch
from more_real_images import opened
from neu_fewshot import service_of
from neu_findings import mean_over_splits, mean_over_splits_and_seeds, students_interval
from neu_plan import GATED, WHOLE
from PIL import Image
from rich.console import Console

from models.generation.splicing import partner_of, spliced
from models.progress import no_progress
from models.recognition.classifier import TrainingSet, probabilities, train
from models.recognition.config import ClassifierConfig, TrainingConfig
from models.recognition.data import Labelled, as_tensor
from service.api.views import GenerationView
from service.contracts.jobs import JobState
from service.contracts.requests import GenerationRequest
from service.demo.http import Client
from service.demo.launch import Service

_CONFIG = TrainingConfig()
_NUM_TRAIN, _MOST_A_REAL_ONE = 20, 4
_PLAIN = {"guidance_scale": 1.0, "lora_scale": 1.0}
_FOUND = "as found"
#: Settings of the images beside those found.
_SETTINGS: dict[str, dict[str, Any]] = {
    "one source, strength 0.7": {"strength": 0.7, "splice_sources": False, **_PLAIN},
    "two spliced, strength 0.5": {"strength": 0.5, "splice_sources": True, **_PLAIN},
    "two spliced, strength 0.7": {"strength": 0.7, "splice_sources": True, **_PLAIN},
}
#: Two real images spliced, as the sources are, and nothing denoised: what no generator is needed for.
_COLLAGES = "real images spliced, none denoised"
#: With how many synthetic images for each real one.
_VARIANTS = (
    *((name, 4.0) for name in (_COLLAGES, _FOUND, *_SETTINGS)),
    *(("two spliced, strength 0.7", ratio) for ratio in (1.0, 2.0)),
)  # fmt: skip
_Pixels = tuple[torch.Tensor, torch.Tensor]


def made(out: Path, work: Path) -> dict[tuple[int, str], Path]:
    """By split and settings: the archive of a generation, asked for where it is not there yet."""
    kept = json.loads((out / "ledger.json").read_text(encoding="utf-8"))
    units = {unit: one["path"].rpartition("/")[2] for unit, one in kept["units"].items()}
    adapted = {int(unit.partition("/")[0]): one for unit, one in units.items() if unit.endswith(f"{WHOLE}/adaptation")}
    names = (_FOUND, *_SETTINGS)
    archives = {(seed, name): work / f"{one} - {name}.zip" for seed, one in adapted.items() for name in names}
    missing = {key: path for key, path in archives.items() if not path.exists()}
    if not missing:
        return archives
    with service_of(out, Console()) as (service, client):
        for (seed, name), path in missing.items():
            if name == _FOUND:
                generation = units[f"{seed}/{WHOLE}/{GATED}/images"]
            else:
                counts = dict.fromkeys(kept["plan"]["classes"], _MOST_A_REAL_ONE * _NUM_TRAIN)
                asked = {"adaptation_id": adapted[seed], "num_images": counts, "seed": seed}
                asked["settings"] = _SETTINGS[name]
                generation = _generated(client, service, GenerationRequest.model_validate(asked))
            client.download(f"/v1/generations/{generation}/archive", path)
            print(f"split {seed}, {name}", flush=True)
    return archives


def _generated(client: Client, service: Service, asked: GenerationRequest) -> str:
    """The id of the generation ``asked`` for, when it is over. Ends the program where one of its jobs fails."""
    generation = client.post("/v1/generations", asked, GenerationView).id
    jobs = client.get(f"/v1/generations/{generation}", GenerationView).jobs
    while not all(job.state.is_final for job in jobs):
        service.check()
        time.sleep(2)
        jobs = client.get(f"/v1/generations/{generation}", GenerationView).jobs
    if failed := [job.class_name for job in jobs if job.state is not JobState.SUCCEEDED]:
        raise SystemExit(f"{generation}: {', '.join(failed)} did not succeed.")
    return generation


def synthetic(archive: Path, classes: list[str], most: int) -> _Pixels:
    """Pixels and labels of at most so many images of each class."""
    images: dict[str, list[Image.Image]] = {name: [] for name in classes}
    with zipfile.ZipFile(archive) as zipped:
        for path in sorted(zipped.namelist()):
            name = PurePosixPath(path).parent.name
            if path.endswith(".png") and name in images and len(images[name]) < most:
                images[name].append(Image.open(io.BytesIO(zipped.read(path))))
    pairs = [(image, label) for label, of_class in enumerate(images.values()) for image in of_class]
    labelled = Labelled([image for image, _ in pairs], [label for _, label in pairs])
    return as_tensor(labelled, _CONFIG.image_size_px), torch.tensor(labelled.labels)


def collages(real: _Pixels, num_a_class: int, seed: int) -> _Pixels:
    """Pixels and labels of so many collages of each class's ``real`` images."""
    pixels, labels = real
    made = []
    for label in range(int(labels.max()) + 1):
        own = pixels[labels == label]
        for index in range(num_a_class):
            source = index % len(own)
            second = own[partner_of(index, source, len(own), seed)]
            made.append(spliced(own[source], second, seed, index).clamp(-1.0, 1.0))
    return torch.stack(made), torch.arange(int(labels.max()) + 1).repeat_interleave(num_a_class)


def accuracy(real: _Pixels, beside: _Pixels | None, asked: _Pixels, seed: int) -> float:
    """Of a classifier trained on ``real`` images and those ``beside`` them, all augmented."""
    pixels, labels = (torch.cat([one, other]) for one, other in zip(real, beside, strict=True)) if beside else real
    images = TrainingSet(pixels, labels, torch.arange(len(labels)) >= len(real[1]), augment=True)
    num_classes = int(real[1].max()) + 1
    model = train(images, num_classes, ClassifierConfig(), _CONFIG, seed, "cpu", no_progress).model
    return float((probabilities(model, asked[0], "cpu").argmax(dim=1) == asked[1]).float().mean())


class Accuracies:
    """What was trained, by split and variant, a figure a seed; in a file that grows."""

    def __init__(self, path: Path, num_seeds: int) -> None:
        self._path, self._num_seeds = path, num_seeds
        self._kept: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, split: int, variant: str, real: _Pixels, beside: _Pixels | None, asked: _Pixels) -> list[float]:
        """Of all seeds; what is missing is trained."""
        found = self._kept.setdefault(f"{split}: {variant}", [])
        while len(found) < self._num_seeds:
            found.append(accuracy(real, beside, asked, len(found)))
            self._path.write_text(json.dumps(self._kept, indent=1))
        return found[: self._num_seeds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--proofs", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, default=Path(".neu/synthetic-images"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--page", type=Path, help="also write the section `synthetic-images` of this page")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    archives = {key: path for out in arguments.proofs for key, path in made(out, arguments.work).items()}
    classes = neu_plan.all_classes(arguments.data)
    every = neu_plan.read_splits(arguments.data, classes, _NUM_TRAIN, 100, [0, 1, 2, 3, 4])
    accuracies = Accuracies(arguments.work / "accuracies.json", arguments.seeds)
    num_images: dict[tuple[str, float], list[float]] = {variant: [] for variant in _VARIANTS}
    plain: list[list[float]] = []
    num_asked: list[int] = []
    gains: dict[tuple[str, float], list[list[float]]] = {variant: [] for variant in _VARIANTS}
    splits = [one for one in every if (one.seed, _FOUND) in archives]
    for split in splits:
        real, asked = opened(split.train), opened(neu_plan.untested(every, split, arguments.data))
        num_asked.append(len(asked[1]))
        plain.append(accuracies.of(split.seed, "none", real, None, asked))
        for name, ratio in _VARIANTS:
            most = round(ratio * _NUM_TRAIN)
            if name == _COLLAGES:
                origin, beside = name, collages(real, most, split.seed)
            else:
                origin = archives[split.seed, name].stem
                beside = synthetic(archives[split.seed, name], list(classes), most)
            num_images[name, ratio].append(len(beside[1]) / len(classes))
            found = accuracies.of(split.seed, f"{origin}, {ratio:g}", real, beside, asked)
            gains[name, ratio].append([a - b for a, b in zip(found, plain[-1], strict=True)])
            print(f"split {split.seed}, {name}, ratio {ratio:g}", flush=True)
    text = _report(plain, gains, num_images, num_asked, [split.seed for split in splits])
    print(text)
    if arguments.page is not None:
        results_page.write_section("synthetic-images", text, arguments.page)


def _report(
    plain: list[list[float]], gains: dict[tuple[str, float], list[list[float]]],
    num_images: dict[tuple[str, float], list[float]], num_asked: list[int], splits: list[int],
) -> str:  # fmt: skip
    rows = [[name, f"{fmean(num_images[name, ratio]):.0f}", *_told(found)] for (name, ratio), found in gains.items()]
    header = ["synthetic images", "a class", "accuracy above none, points", "by Student's t"]
    without = mean_over_splits([fmean(one) for one in plain]).told(1, 100)
    return (
        f"## Which synthetic images help the classifier\n\n{results_page.provenance()}. "
        f"{_NUM_TRAIN} real images a class. Splits {', '.join(map(str, splits))}, {len(plain[0])} seeds each, means "
        "with a 95 % bootstrap interval over splits, then seeds, and by Student's t over splits. Asked about "
        f"{min(num_asked)} to {max(num_asked)} images that no split tests with; most are the same for all splits, "
        "which therefore tell less than so many samples would. "
        f"Accuracy with real images alone, augmented: {without} %.\n\n{results_page.markdown_table(header, rows)}"
    )


def _told(gains: list[list[float]]) -> tuple[str, str]:
    by_t = students_interval([fmean(one) for one in gains])
    stricter = "–" if by_t is None else f"{100 * by_t[0]:.1f} to {100 * by_t[1]:.1f}"
    return mean_over_splits_and_seeds(gains).told(1, 100), stricter


if __name__ == "__main__":
    main()
