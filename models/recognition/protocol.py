"""The protocol: choose the ratio of synthetic images on validation, then train every arm anew and test it once.

The two halves are two functions. The first is given no test image; the second is given the chosen ratio.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from models.diffusion.seeding import derived_seed
from models.progress import Progress
from models.recognition.classifier import TrainingSet, probabilities, train
from models.recognition.config import ProtocolConfig
from models.recognition.data import Development, Labelled, RecognitionData, as_tensor, checked_test, twins
from models.recognition.outcome import RatioChoice, RatioTried, RecognitionOutcome, concluded
from models.recognition.records import Arm, Purpose, Run, RunRecord

#: Raised when a run of the same key is another one, so that records of before are not taken for it.
REVISION = 2
_LEAST_FOLDS = 4


def run_protocol(
    data: RecognitionData,
    config: ProtocolConfig,
    *,
    done: Mapping[str, RunRecord] | None = None,
    on_run: Callable[[RunRecord], None],
    device: str = "cpu",
    progress: Progress,
) -> RecognitionOutcome:
    """Both halves. ``done``: records by key of an interrupted protocol of the same arguments; they are not run again.

    Raises ``DatasetUnusable`` for images that prove nothing, ``NonFiniteLoss``, and what the callbacks raise.
    """
    development = data.development.checked()
    runner = _Runner(config, dict(done or {}), on_run, device, progress)
    choice = choose_ratio(development, config, runner)
    test = checked_test(data.test(), development)
    records = runner.final(development, test, choice.ratio)
    truth, num_classes = np.asarray(test.labels), len(development.class_names)
    splits = {"train": development.train, "test": test}
    doubled = [note for name, images in splits.items() for note in twins(images, development.class_names, name)]
    return concluded(records, truth, num_classes, config, choice, doubled)


def choose_ratio(development: Development, config: ProtocolConfig, runner: "_Runner") -> RatioChoice:
    """The ratio with the best accuracy over all images asked about, the lower log loss deciding between equals.

    These are the validation images. Where a class has fewer than eight, each of the ``num_selection_seeds`` classifiers
    holds out another part of the train images, a quarter at most: one quarter alone would be a handful, of which one
    image more or less decides.
    """
    ratios, notes = usable_ratios(development, config.ratios)
    notes += shortages(development, ratios)
    parts = [development]
    if not development.has_validation:
        number = max(config.num_selection_seeds, _LEAST_FOLDS)
        parts = development.folds(number, derived_seed(config.seed, "held out"))
        notes += _of_folds(parts[: config.num_selection_seeds], ratios)
    runner.expect(len(ratios) * config.num_selection_seeds + len(Arm) * config.num_seeds)
    asked = [parts[seed % len(parts)] for seed in range(config.num_selection_seeds)]
    tried = []
    for ratio in ratios:
        runs = [Run(Purpose.SELECTION, Arm.REAL_PLUS_SYNTHETIC, ratio, seed) for seed in range(len(asked))]
        records = [runner.one(run, part, part.validation) for run, part in zip(runs, asked, strict=True)]
        right = np.concatenate(
            [np.equal(record.told, part.validation.labels) for record, part in zip(records, asked, strict=True)]
        )
        log_loss = np.average([record.log_loss for record in records], weights=[len(one.told) for one in records])
        num_synthetic = round(np.mean([record.num_synthetic for record in records]))
        tried.append(RatioTried(ratio, num_synthetic, float(right.mean()), float(log_loss)))
    best = max(tried, key=lambda one: (one.validation_accuracy, -one.validation_log_loss))
    return RatioChoice(best.ratio, tuple(tried), not development.has_validation, tuple(notes))


def _of_folds(folds: Sequence[Development], ratios: Sequence[float]) -> list[str]:
    """Notes on a choice by train images held out."""
    num_images = sum(len(fold.validation) for fold in folds)
    notes = [
        f"There are too few validation images: the ratio was chosen on {num_images} train images, held out in turn, "
        "which the adapters have seen. The test is not touched by that."
    ]
    short = [f"{ratio:g}" for ratio in ratios if any(shortages(fold, [ratio]) for fold in folds)]
    if short:
        notes.append(
            "In the choice, what was made from a held-out image is left out, too: there were fewer synthetic images "
            f"for each real one than asked for at ratio {', '.join(short)}."
        )
    return notes


def usable_ratios(development: Development, ratios: Sequence[float]) -> tuple[list[float], list[str]]:
    """Those of ``ratios`` that differ in the images they use, and notes on those left out."""
    kept: dict[tuple[int, ...], float] = {}
    notes = []
    for ratio in sorted(ratios):
        used = tuple(len(one) for one in synthetic_of(development, ratio))
        if used in kept:
            notes.append(f"Ratio {ratio:g} was left out: it uses the same images as ratio {kept[used]:g}.")
        kept.setdefault(used, ratio)
    return list(kept.values()), notes


def shortages(development: Development, ratios: Sequence[float]) -> list[str]:
    """Notes on those of ``ratios`` for which some class has too few synthetic images."""
    notes = []
    for ratio in ratios:
        wanted = [max(1, round(ratio * real)) for real in _counts(development)]
        used = [len(own) for own in synthetic_of(development, ratio)]
        if used != wanted:
            short = ", ".join(
                f"{name} {got} of {asked}"
                for name, got, asked in zip(development.class_names, used, wanted, strict=True)
                if got < asked
            )
            notes.append(f"For ratio {ratio:g} there are too few synthetic images; all are used: {short}.")
    return notes


def _counts(development: Development) -> list[int]:
    return [list(development.train.labels).count(label) for label in range(len(development.class_names))]


def synthetic_of(development: Development, ratio: float) -> list[list[int]]:
    """For each class the first ``ratio`` x (its train images) synthetic images, or as many as there are."""
    found: list[list[int]] = [[] for _ in development.class_names]
    for index, label in enumerate(development.synthetic.labels):
        found[label].append(index)
    return [own[: max(1, round(ratio * real))] for own, real in zip(found, _counts(development), strict=True)]


class _Runner:
    """Trains and asks classifiers, each once; knows how far the whole protocol is."""

    def __init__(
        self, config: ProtocolConfig, done: dict[str, RunRecord], on_run: Callable[[RunRecord], None], device: str,
        progress: Progress,
    ) -> None:  # fmt: skip
        self.records = done
        self._config, self._on_run, self._device, self._progress = config, on_run, device, progress
        self._num_runs, self._num_done = 0, 0

    def expect(self, num_runs: int) -> None:
        """Be told how many runs there are in all, once it is known which ratios differ."""
        self._num_runs = num_runs

    def final(self, development: Development, test: Labelled, ratio: float) -> dict[str, RunRecord]:
        """Every arm with all train images, tested; the arms share their seeds."""
        runs = [
            Run(Purpose.FINAL, arm, ratio if arm is Arm.REAL_PLUS_SYNTHETIC else 0.0, seed)
            for seed in range(self._config.num_seeds)
            for arm in Arm
        ]
        return {run.key: self.one(run, development, test) for run in runs}

    def one(self, run: Run, development: Development, asked: Labelled) -> RunRecord:
        """The record of ``run``, from before or made now."""
        if run.key not in self.records:
            self.records[run.key] = self._made(run, development, asked)
            self._on_run(self.records[run.key])
        self._num_done += 1
        return self.records[run.key]

    def _made(self, run: Run, development: Development, asked: Labelled) -> RunRecord:
        begun = time.monotonic()
        images = _training_set(run, development, self._config.training.image_size_px)
        # The purpose and the arm are no part of the seed: arms are paired by their draws.
        seed = derived_seed(self._config.seed, "classifier", run.seed)
        trained = train(
            images, len(development.class_names), self._config.classifier, self._config.training, seed, self._device,
            self._told(run),
        )  # fmt: skip
        pixels = as_tensor(asked, self._config.training.image_size_px)
        told = probabilities(trained.model, pixels, self._device)
        truth = torch.tensor(asked.labels)
        right = told[torch.arange(len(truth)), truth].clamp_min(1e-12)
        return RunRecord(
            run=run,
            told=tuple(int(label) for label in told.argmax(dim=1)),
            log_loss=float(-right.log().mean()),
            training_loss=trained.loss,
            steps=self._config.training.steps,
            num_real=int((~images.is_synthetic).sum()),
            num_synthetic=int(images.is_synthetic.sum()),
            seconds=time.monotonic() - begun,
        )

    def _told(self, run: Run) -> Progress:
        def training(stage: str, step: int, total: int, **figures: float) -> None:
            whole = self._num_runs * total
            told = "selection" if run.purpose is Purpose.SELECTION else "recognition"
            self._progress(told, self._num_done * total + step, whole, **figures)

        return training


def _training_set(run: Run, development: Development, size_px: int) -> TrainingSet:
    real = as_tensor(development.train, size_px)
    with_synthetic = run.arm is Arm.REAL_PLUS_SYNTHETIC
    used = [index for own in synthetic_of(development, run.ratio) for index in own] if with_synthetic else []
    synthetic = development.synthetic.taken(used)
    return TrainingSet(
        pixels=torch.cat([real, as_tensor(synthetic, size_px)]),
        labels=torch.tensor([*development.train.labels, *synthetic.labels]),
        is_synthetic=torch.arange(len(real) + len(synthetic)) >= len(real),
        augment=run.arm is not Arm.REAL_ONLY,
    )
