"""How many synthetic images, and how much of each batch, help the classifier: what chose recognition's defaults.

    python tests/benchmarks/synthetic_share.py --data FOLDER --synthetic 0=SPLIT0.zip 1=SPLIT1.zip

FOLDER holds images/CLASS/*.jpg and splits.json. Each zip is the archive (imagefolder) of a generation whose adapters
learned from the split's training images. The classifiers are asked about images that no split names for testing and
the split does not train on, so that what is chosen here has not seen the tests.
"""

import argparse
import io
import zipfile
from pathlib import Path, PurePosixPath

import neu_plan
import numpy as np
import results_page
import torch
from more_real_images import opened
from neu_findings import mean_over_splits_and_seeds
from PIL import Image

from models.progress import no_progress
from models.recognition.classifier import TrainingSet, probabilities, train
from models.recognition.config import ClassifierConfig, TrainingConfig
from models.recognition.data import Labelled, as_tensor

#: (synthetic images for each real one, most that they take of a class's draws); 0.99 holds nothing back.
_VARIANTS = ((1.0, 0.25), (1.0, 0.99), (4.0, 0.25), (4.0, 0.4), (4.0, 0.5), (4.0, 0.6), (4.0, 0.99))
_CONFIG = TrainingConfig()


def untested(splits: list[neu_plan.Split], split: neu_plan.Split, data: Path) -> dict[str, list[Path]]:
    """By class: images that no split tests with and this one does not train on."""
    found = {}
    for name, own in split.train.items():
        tested = {path for one in splits for path in one.test[name]}
        found[name] = sorted(set((data / "images" / name).glob("*.jpg")) - tested - set(own))
    return found


def synthetic(archive: Path, classes: list[str], most: int) -> tuple[torch.Tensor, torch.Tensor]:
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


def accuracy(
    real: tuple[torch.Tensor, torch.Tensor], made: tuple[torch.Tensor, torch.Tensor] | None,
    asked: tuple[torch.Tensor, torch.Tensor], max_share: float, seed: int,
) -> float:  # fmt: skip
    """Of a classifier trained on ``real`` and ``made`` images, all augmented."""
    pixels, labels = (torch.cat([one, other]) for one, other in zip(real, made, strict=True)) if made else real
    images = TrainingSet(pixels, labels, torch.arange(len(labels)) >= len(real[1]), augment=True)
    config = TrainingConfig(max_synthetic_share=max_share)
    num_classes = int(real[1].max()) + 1
    model = train(images, num_classes, ClassifierConfig(), config, seed, "cpu", no_progress).model
    return float((probabilities(model, asked[0], "cpu").argmax(dim=1) == asked[1]).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--synthetic", nargs="+", required=True, metavar="SPLIT=ZIP")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--page", type=Path, help="also write the section `synthetic-share` of this page")
    arguments = parser.parse_args()
    classes = neu_plan.all_classes(arguments.data)
    every = neu_plan.read_splits(arguments.data, classes, 20, 100, [0, 1, 2, 3, 4])
    archives = {int(one.partition("=")[0]): Path(one.partition("=")[2]) for one in arguments.synthetic}
    gains: dict[tuple[float, float], list[list[float]]] = {variant: [] for variant in _VARIANTS}
    plain: list[list[float]] = []
    for split in (one for one in every if one.seed in archives):
        real, asked = opened(split.train), opened(untested(every, split, arguments.data))
        without = [accuracy(real, None, asked, 0.99, seed) for seed in range(arguments.seeds)]
        plain.append(without)
        for ratio, share in _VARIANTS:
            made = synthetic(archives[split.seed], list(classes), round(ratio * 20))
            found = [accuracy(real, made, asked, share, seed) for seed in range(arguments.seeds)]
            gains[ratio, share].append([a - b for a, b in zip(found, without, strict=True)])
            told = np.mean(gains[ratio, share][-1])
            print(f"split {split.seed}, ratio {ratio:g}, share {share:g}: {100 * told:+.2f} points", flush=True)
    rows = [
        [f"{ratio:g}", "as many as there are" if share == 0.99 else f"at most {share:g}",
         mean_over_splits_and_seeds(found).told(1, 100)]
        for (ratio, share), found in gains.items()
    ]  # fmt: skip
    header = ["synthetic images a real one", "of a class's draws", "accuracy above none, points"]
    text = (
        f"## How much of a batch may be synthetic\n\n`{results_page.command()}`\n\nCommit {results_page.commit()}; "
        f"{results_page.machine()}; {results_page.today()}. Splits {', '.join(map(str, archives))}, {arguments.seeds} "
        f"seeds each; accuracy with real images alone, augmented: {100 * np.mean(plain):.1f} %. Asked about images "
        f"that no split tests with.\n\n{results_page.markdown_table(header, rows)}"
    )
    print(text)
    if arguments.page is not None:
        results_page.write_section("synthetic-share", text, arguments.page)


if __name__ == "__main__":
    main()
