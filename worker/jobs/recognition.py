"""A recognition job: classifiers with and without synthetic images, compared on test images that nothing has seen."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import InvalidSettings
from models.evaluation.weights_file import digest_of
from models.progress import Progress
from models.recognition.config import ClassifierConfig, ProtocolConfig, TrainingConfig
from models.recognition.data import Development, Labelled, RecognitionData
from models.recognition.outcome import ArmOutcome, RecognitionOutcome
from models.recognition.protocol import REVISION, run_protocol
from models.recognition.records import Arm as ModelArm
from models.recognition.records import Purpose, Run, RunRecord
from models.recognition.verdict import Measured
from service.contracts.datasets import ImageRecord, Split
from service.contracts.generations import GeneratedImage
from service.contracts.quality import Estimate, Interval
from service.contracts.recognitions import (
    Arm,
    ArmResult,
    Lift,
    RatioTried,
    RecognitionParams,
    RecognitionResult,
    RecognitionRun,
    RecognitionSettings,
    RecognitionSoFar,
    TellingImage,
    Verdict,
)
from worker.jobs.recognition_inputs import Inputs, read_inputs
from worker.lifecycle import Attempt, Finished
from worker.workshop import Workshop
from worker.workspace import load_images

_WEIGHTS = {"loading": 0.01, "classifiers": 0.99}


def run(attempt: Attempt, workshop: Workshop) -> Finished:
    """Train and compare; goes on from the classifiers in the job's record."""
    params = RecognitionParams.model_validate(attempt.job.params)
    pretrained = _pretrained(workshop, params.settings.classifier)
    config = configured(params.settings, pretrained)
    made_with = _made_with(params.settings.classifier, pretrained)
    with workshop.database.reading() as session:
        inputs = read_inputs(session, attempt.job.tenant_id, params)
    writer = attempt.progress(_WEIGHTS)
    started = time.monotonic()
    data = _data(inputs, workshop, writer)
    loading_seconds = time.monotonic() - started
    record = _Record(attempt, made_with, _done(attempt, made_with))
    outcome = run_protocol(
        data,
        config,
        done={one.run.key: one for one in record.runs},
        on_run=record,
        device=workshop.residents.device,
        progress=_of_one_stage(writer),
    )
    seconds = {"loading": loading_seconds, **_seconds(record.runs)}
    return Finished(_result(params, inputs, outcome, seconds))


def _of_one_stage(progress: Progress) -> Progress:
    """The protocol counts its steps over all of its stages, so they are one to the job."""

    def told(stage: str, step: int, total: int, **figures: float) -> None:
        progress("classifiers", step, total, **figures)

    return told


def configured(settings: RecognitionSettings, pretrained: Path | None) -> ProtocolConfig:
    """The protocol's settings as clients give them."""
    return ProtocolConfig(
        ratios=tuple(settings.ratios),
        num_seeds=settings.num_seeds,
        num_selection_seeds=settings.num_selection_seeds,
        seed=settings.seed,
        training=TrainingConfig(
            steps=settings.steps,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            max_synthetic_share=settings.max_synthetic_share,
            image_size_px=settings.image_size_px,
        ),
        classifier=ClassifierConfig(pretrained_path=pretrained),
    )


def _pretrained(workshop: Workshop, name: str) -> Path | None:
    """The registered folder; None for the classifier that starts from random weights. Raises `InvalidSettings`."""
    if name not in workshop.classifiers:
        raise InvalidSettings(
            f"The classifier {name!r} is not registered on this worker.",
            field="classifier",
            remedy="Give API and workers the same DEFECTSYNTH_BASE_MODELS file.",
        )
    entry = workshop.classifiers[name]
    return Path(entry.path) if entry is not None else None


def _made_with(name: str, pretrained: Path | None) -> str:
    """The protocol and the classifier, with the digest of what its folder holds now. Raises `InvalidSettings`.

    Without a folder its weights are drawn from the seed, so that its name says all.
    """
    made_with = f"protocol {REVISION}, {name}"
    if pretrained is None:
        return made_with
    try:
        return f"{made_with}@{digest_of([*pretrained.glob('*.json'), *pretrained.glob('*.safetensors')])}"
    except OSError as error:
        raise InvalidSettings(
            f"The classifier {name!r} cannot be read ({error.strerror}).",
            field="classifier",
            remedy="Ask the operator to give the worker the right to read its registered folder.",
        ) from error


def _data(inputs: Inputs, workshop: Workshop, progress: Progress) -> RecognitionData:
    """The images; test images are read when the protocol asks for them."""
    train, validation = inputs.splits[Split.TRAIN], inputs.splits[Split.VALIDATION]
    made = [one.image for one in inputs.synthetic]
    load = _Loader(workshop, inputs.classes, len(train) + len(validation) + len(made), progress)
    development = Development(
        class_names=inputs.classes,
        train=load(train),
        validation=load(validation),
        synthetic=load(made),
        sources=[one.sources for one in inputs.synthetic],
        groups=[record.group for record in train],
    )
    return RecognitionData(development, test=lambda: load(inputs.splits[Split.TEST]))


class _Loader:
    """Reads images and labels, and tells so one by one."""

    def __init__(self, workshop: Workshop, classes: Sequence[str], total: int, progress: Progress) -> None:
        self._artifacts = workshop.artifacts
        self._labels = {name: label for label, name in enumerate(classes)}
        self._total, self._progress, self._num_done = total, progress, 0

    def __call__(self, stored: Sequence[ImageRecord | GeneratedImage]) -> Labelled:
        images = []
        for one in stored:
            images += load_images(self._artifacts, [one.sha256])
            self._num_done += 1
            self._progress("loading", min(self._num_done, self._total), self._total)
        return Labelled(images, [self._labels[one.class_name] for one in stored])


@dataclass
class _Record:
    """Keeps every trained classifier's answers in the job's record."""

    attempt: Attempt
    made_with: str
    runs: list[RunRecord]

    def __call__(self, made: RunRecord) -> None:
        self.runs.append(made)
        self.attempt.keep(RecognitionSoFar(made_with=self.made_with, runs=[_told(one) for one in self.runs]))


def _done(attempt: Attempt, made_with: str) -> list[RunRecord]:
    """The classifiers of an earlier attempt; none where what they were begun from was replaced in between."""
    if attempt.job.interim is None:
        return []
    kept = RecognitionSoFar.model_validate(attempt.job.interim)
    return [_made(one) for one in kept.runs] if kept.made_with == made_with else []


def _told(made: RunRecord) -> RecognitionRun:
    return RecognitionRun(
        purpose=made.run.purpose.value,
        arm=Arm(made.run.arm.value),
        ratio=made.run.ratio,
        seed=made.run.seed,
        told=list(made.told),
        log_loss=made.log_loss,
        training_loss=made.training_loss,
        steps=made.steps,
        num_real=made.num_real,
        num_synthetic=made.num_synthetic,
        seconds=made.seconds,
    )


def _made(told: RecognitionRun) -> RunRecord:
    return RunRecord(
        run=Run(Purpose(told.purpose), ModelArm(told.arm.value), told.ratio, told.seed),
        told=tuple(told.told),
        log_loss=told.log_loss,
        training_loss=told.training_loss,
        steps=told.steps,
        num_real=told.num_real,
        num_synthetic=told.num_synthetic,
        seconds=told.seconds,
    )


def _seconds(runs: Sequence[RunRecord]) -> dict[str, float]:
    """Of all attempts together, by purpose."""
    found: dict[str, float] = defaultdict(float)
    for one in runs:
        found[one.run.purpose.value] += one.seconds
    return dict(found)


def _result(
    params: RecognitionParams, inputs: Inputs, outcome: RecognitionOutcome, seconds: dict[str, float]
) -> RecognitionResult:
    tested = inputs.splits[Split.TEST]
    return RecognitionResult(
        classes=list(inputs.classes),
        classifier=params.settings.classifier,
        verdict=Verdict(outcome.verdict.value),
        sentence=outcome.sentence,
        is_inconclusive=outcome.is_inconclusive,
        chosen_ratio=outcome.choice.ratio,
        selection_split=Split.TRAIN if outcome.choice.held_out else Split.VALIDATION,
        selection=[
            RatioTried(
                ratio=one.ratio, num_synthetic=one.num_synthetic, validation_accuracy=one.validation_accuracy,
                validation_log_loss=one.validation_log_loss,
            )
            for one in outcome.choice.tried
        ],
        arms=[_arm(one, inputs.classes) for one in outcome.arms],
        lifts=[
            Lift(
                arm=Arm.REAL_PLUS_SYNTHETIC, over=Arm(one.over.value), metric=one.metric,
                value=one.measured.value, interval=_interval(one.measured),
            )
            for one in outcome.lifts
        ],
        num_images=inputs.counts(),
        num_synthetic_images=inputs.synthetic_counts(),
        telling_images=[
            TellingImage(
                image_id=tested[one.index].id,
                class_name=tested[one.index].class_name,
                share_right={Arm(arm.value): share for arm, share in one.share_right.items()},
            )
            for one in outcome.telling
        ],
        stage_seconds={stage: round(taken, 3) for stage, taken in seconds.items()},
        notes=[*params.notes, *inputs.notes, *outcome.notes],
    )  # fmt: skip


def _arm(one: ArmOutcome, classes: Sequence[str]) -> ArmResult:
    return ArmResult(
        arm=Arm(one.arm.value),
        ratio=one.ratio,
        num_real=one.num_real,
        num_synthetic=one.num_synthetic,
        accuracy=_estimate(one.accuracy),
        macro_f1=_estimate(one.macro_f1),
        recall=dict(zip(classes, one.recall, strict=True)),
        confusion=[list(row) for row in one.confusion],
        runs_accuracy=list(one.runs_accuracy),
    )


def _estimate(found: Measured) -> Estimate:
    return Estimate(value=found.value, interval=_interval(found))


def _interval(found: Measured) -> Interval:
    return Interval(low=found.low, high=found.high)
