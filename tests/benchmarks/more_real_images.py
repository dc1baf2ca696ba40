"""What more real images would bring to the classifier: the most that as many synthetic ones can be hoped to bring.

    python tests/benchmarks/more_real_images.py --data FOLDER     # FOLDER holds images/CLASS/*.jpg and splits.json

The classifier, its settings and its augmentation are recognition's own (arm real_augmented). The images added are those
that a split names neither for training nor for testing, less the neighbours of the training images, which show the same
strip. Many are neighbours of test images, so that what they bring is an upper bound.
"""

import argparse
from pathlib import Path

import neu_plan
import numpy as np
import results_page
import torch
from neu_findings import mean_over_splits, mean_over_splits_and_seeds

from models.imaging.arrays import load_image
from models.progress import no_progress
from models.recognition.classifier import TrainingSet, probabilities, train
from models.recognition.config import ClassifierConfig, TrainingConfig
from models.recognition.data import Labelled, as_tensor

_CONFIG = TrainingConfig()


def opened(files: dict[str, list[Path]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels and labels."""
    pairs = [(load_image(path, formats=None), label) for label, paths in enumerate(files.values()) for path in paths]
    labelled = Labelled([image for image, _ in pairs], [label for _, label in pairs])
    return as_tensor(labelled, _CONFIG.image_size_px), torch.tensor(labelled.labels)


def accuracy(split: neu_plan.Split, data: Path, num_more: int, seed: int) -> float:
    """On the test images, after training on the split's images and ``num_more`` others of each class."""
    rng = np.random.default_rng([split.seed, seed])
    files = {}
    for name, own in split.train.items():
        others = neu_plan.spare(split, name, data)
        files[name] = [*own, *(others[index] for index in rng.permutation(len(others))[:num_more])]
    pixels, labels = opened(files)
    images = TrainingSet(pixels, labels, torch.zeros(len(labels), dtype=torch.bool), augment=True)
    model = train(images, len(files), ClassifierConfig(), _CONFIG, seed, "cpu", no_progress).model
    asked, truth = opened(split.test)
    return float((probabilities(model, asked, "cpu").argmax(dim=1) == truth).float().mean())


def table(runs: dict[int, list[list[float]]]) -> str:
    """``runs``: by number of images added, accuracies of each split's seeds."""
    without = runs[0]
    rows = []
    for num_more, found in runs.items():
        gain = [[a - b for a, b in zip(*pair, strict=True)] for pair in zip(found, without, strict=True)]
        means = mean_over_splits([float(np.mean(one)) for one in found])
        above = mean_over_splits_and_seeds(gain).told(1, 100) if num_more else "–"
        rows.append([f"+{num_more}", means.told(1, 100), above])
    return results_page.markdown_table(["real images a class", "accuracy, %", "points above none more"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--more", type=int, nargs="+", default=[20, 60], help="images added to each class")
    parser.add_argument("--page", type=Path, help="also write the section `more-real` of this page")
    arguments = parser.parse_args()
    names = neu_plan.all_classes(arguments.data)
    splits = neu_plan.read_splits(arguments.data, names, 20, 100, arguments.splits)
    runs: dict[int, list[list[float]]] = {}
    for num_more in (0, *arguments.more):
        runs[num_more] = []
        for split in splits:
            found = [accuracy(split, arguments.data, num_more, seed) for seed in range(arguments.seeds)]
            print(f"+{num_more}, split {split.seed}: {', '.join(f'{one:.3f}' for one in found)}", flush=True)
            runs[num_more].append(found)
    about = " ".join((__doc__ or "").split("\n\n")[2].split())
    text = f"## What more real images would bring\n\n{results_page.provenance()}. {about}\n\n{table(runs)}"
    print(text)
    if arguments.page is not None:
        results_page.write_section("more-real", text, arguments.page)


if __name__ == "__main__":
    main()
