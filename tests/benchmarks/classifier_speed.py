"""A training step of recognition's classifier, ours against the loop that its library's documentation shows.

    python tests/benchmarks/classifier_speed.py --threads 2

Both train the same `ResNetForImageClassification` on batches of drawn pixels, without augmentation, which both would
need alike. Theirs: float32 as the model is made, `torch.optim.AdamW`. Ours: `models.recognition.classifier`.
"""

import argparse
import statistics
import time

import openmp  # noqa: F401  # before torch
import results_page
import torch
import torch.nn.functional as F

from models.progress import no_progress
from models.recognition.classifier import TrainingSet, build, train
from models.recognition.config import ClassifierConfig, TrainingConfig

_NUM_CLASSES, _IMAGES_A_CLASS = 6, 20


def drawn(config: TrainingConfig) -> TrainingSet:
    """Pixels at random."""
    labels = torch.arange(_NUM_CLASSES).repeat_interleave(_IMAGES_A_CLASS)
    shape = (len(labels), 3, config.image_size_px, config.image_size_px)
    pixels = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return TrainingSet(pixels, labels, torch.zeros(len(labels), dtype=torch.bool), augment=False)


def ours(images: TrainingSet, config: TrainingConfig) -> float:
    """Milliseconds a step, with all that a training begins with."""
    begun = time.perf_counter()
    train(images, _NUM_CLASSES, ClassifierConfig(), config, 0, "cpu", no_progress)
    return 1000 * (time.perf_counter() - begun) / config.steps


def theirs(images: TrainingSet, config: TrainingConfig) -> float:
    """The same by the usual loop."""
    begun = time.perf_counter()
    model = build(ClassifierConfig(), _NUM_CLASSES, 0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    for _ in range(config.steps):
        chosen = torch.randint(0, len(images.labels), (config.batch_size,))
        loss = F.cross_entropy(model(images.pixels[chosen]).logits, images.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return 1000 * (time.perf_counter() - begun) / config.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = TrainingConfig(steps=arguments.steps)
    images = drawn(config)
    pairs = [(theirs(images, config), ours(images, config)) for _ in range(arguments.rounds + 1)][1:]
    before, after = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    header = ["a step of 32 images of 64 px", "usual loop, ms", "ours, ms", "times faster"]
    print(results_page.markdown_table(header, [["median", f"{before:.1f}", f"{after:.1f}", f"{ratio:.2f}"]]))
    print(f"\n{results_page.provenance()}; {torch.get_num_threads()} torch threads.")


if __name__ == "__main__":
    main()
