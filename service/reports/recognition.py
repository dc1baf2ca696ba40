"""The page of a recognition: whether synthetic images helped a classifier, and the figures that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.contracts.datasets import ImageRecord, Split
from service.contracts.quality import Estimate
from service.contracts.recognitions import Arm, ArmResult, Lift, RecognitionResult, TellingImage, Verdict
from service.reports import plots
from service.reports.pages import Fact, Progressing, dataset_facts, progressing
from service.reports.plots import ARM_NAMES
from service.reports.records import RecognitionRecord
from service.reports.settings_used import Remake, remake_request
from service.reports.svg import Svg
from service.reports.thumbnails import THUMBNAIL_PX, Pictures
from service.reports.wording import (
    MISSING,
    counted,
    duration,
    moment,
    percent,
    points,
    points_interval,
    stage,
    verdict_words,
)

#: Test images shown, at most.
MAX_TELLING = 24
_ANSWERS = {Verdict.GAIN_SHOWN: "yes", Verdict.NO_GAIN_SHOWN: "unknown", Verdict.HARM_SHOWN: "no"}
_METRICS = {"accuracy": "accuracy", "macro_f1": "macro F1"}


@dataclass(frozen=True)
class Plot:
    """A plot with its caption and what it says to those who cannot see it."""

    caption: str
    text: str
    svg: Svg


@dataclass(frozen=True)
class ArmLine:
    """One arm on the test images."""

    name: str
    trained_on: str
    accuracy: str
    accuracy_interval: str
    macro_f1: str
    macro_f1_interval: str
    runs: str


@dataclass(frozen=True)
class LiftLine:
    """How much one arm is above another."""

    name: str
    metric: str
    points: str
    interval: str
    reading: str


@dataclass(frozen=True)
class ConfusionCell:
    """``share`` in percent of its row; ``right`` on the diagonal."""

    count: int
    share: int
    right: bool


@dataclass(frozen=True)
class Confusion:
    """One arm's matrix: a row a true class, a column a told one."""

    name: str
    rows: Sequence[tuple[str, Sequence[ConfusionCell]]]


@dataclass(frozen=True)
class RecallLine:
    """One class: its test images, and the recall of each arm in the order of the arms."""

    name: str
    num_images: Mapping[str, int]
    num_synthetic: int
    recalls: Sequence[str]
    change: str


@dataclass(frozen=True)
class Telling:
    """A test image that arms disagree on."""

    picture: str | None
    filename: str
    class_name: str
    shares: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Findings:
    """What a finished recognition has to show.

    Where nothing can be concluded there are no intervals, lifts, plots and telling images, which would look as if.
    """

    answer: str
    verdict: str
    is_conclusive: bool
    sentence: str
    plots: Sequence[Plot]
    arm_names: Sequence[str]
    arms: Sequence[ArmLine]
    lifts: Sequence[LiftLine]
    ratios: Sequence[tuple[str, int, str, bool]]
    chosen_on: str
    classes: Sequence[str]
    confusions: Sequence[Confusion]
    recalls: Sequence[RecallLine]
    telling: Sequence[Telling]
    num_telling: int
    notes: Sequence[str]
    stages: str


@dataclass(frozen=True)
class RecognitionPage:
    """The whole page."""

    id: str
    state: str
    facts: Sequence[Fact]
    progress: Progressing | None
    findings: Findings | None
    remake: Remake


def recognition_page(record: RecognitionRecord, pictures: Pictures) -> RecognitionPage:
    """The page of this record."""
    settings = record.request.settings
    facts = [
        Fact("recognition", record.id, code=True),
        Fact("made", moment(record.created_at)),
        *dataset_facts(record.dataset),
        Fact("generation", record.request.generation_id, code=True),
        *_left_out(record.rejected),
        Fact("classifier", settings.classifier),
        Fact("training", f"{settings.steps} steps of {settings.batch_size} images in every arm"),
        Fact("classifiers", f"{settings.num_seeds} an arm, {settings.num_selection_seeds} for each ratio tried"),
        Fact("seed", str(settings.seed), code=True),
    ]
    progress = progressing(record.job) if record.job is not None else None
    findings = _findings(record.result, record.images, pictures) if record.result is not None else None
    remake = remake_request("/v1/recognitions", record.request.model_dump(mode="json", exclude={"priority"}))
    return RecognitionPage(record.id, record.state, facts, progress, findings, remake)


def _left_out(rejected: Mapping[str, Sequence[int]]) -> list[Fact]:
    counts = [f"{len(numbers)} of {name}" for name, numbers in sorted(rejected.items()) if numbers]
    return [Fact("left out, because rejected", ", ".join(counts))] if counts else []


def _findings(result: RecognitionResult, images: Mapping[str, ImageRecord], pictures: Pictures) -> Findings:
    conclusive = not result.is_inconclusive
    return Findings(
        answer=_ANSWERS[result.verdict] if conclusive else "unknown",
        verdict=verdict_words(result.verdict, result.is_inconclusive),
        is_conclusive=conclusive,
        sentence=result.sentence,
        plots=_plots(result) if conclusive else [],
        arm_names=[ARM_NAMES[arm.arm] for arm in result.arms],
        arms=[_arm(arm, conclusive) for arm in result.arms],
        lifts=[_lift(lift) for lift in result.lifts if conclusive],
        ratios=[
            (f"{one.ratio:g}", one.num_synthetic, percent(one.validation_accuracy, 1), one.ratio == result.chosen_ratio)
            for one in result.selection
        ],
        chosen_on=_chosen_on(result),
        classes=result.classes,
        confusions=[_confusion(arm, result.classes) for arm in result.arms],
        recalls=[_recall(name, result) for name in result.classes],
        telling=[_telling(one, images, pictures) for one in result.telling_images[:MAX_TELLING] if conclusive],
        num_telling=len(result.telling_images),
        notes=result.notes,
        stages=", ".join(f"{stage(name)} {duration(taken)}" for name, taken in result.stage_seconds.items()),
    )


def _plots(result: RecognitionResult) -> list[Plot]:
    told = "; ".join(f"{ARM_NAMES[lift.arm]} over {_over(lift)}: {points(lift.value)} points" for lift in result.lifts)
    found = [Plot("Lift with its 95 % interval. An interval that excludes 0 shows a difference.", told, _lifts(result))]
    accuracies = "; ".join(f"{ARM_NAMES[arm.arm]} {percent(arm.accuracy.value, 1)}" for arm in result.arms)
    caption = "Accuracy on the test images: each classifier (small), the arm's mean and its 95 % interval."
    found.append(Plot(caption, f"Accuracy: {accuracies}", plots.accuracy_of_arms(result.arms)))
    if len(result.selection) > 1:
        sweep = "; ".join(f"ratio {one.ratio:g}: {percent(one.validation_accuracy, 1)}" for one in result.selection)
        caption = f"Choice of the ratio, on {_chosen_on(result)} alone."
        found.append(Plot(caption, sweep, plots.ratio_sweep(result.selection, result.chosen_ratio)))
    return found


def _chosen_on(result: RecognitionResult) -> str:
    return "validation images" if result.selection_split is Split.VALIDATION else "train images held out for it"


def _lifts(result: RecognitionResult) -> Svg:
    return plots.lifts(result.lifts)


def _over(lift: Lift) -> str:
    return f"{ARM_NAMES[lift.over]} ({_METRICS.get(lift.metric, lift.metric)})"


def _arm(arm: ArmResult, conclusive: bool) -> ArmLine:
    trained_on = counted(arm.num_real, "real image")
    if arm.num_synthetic and arm.arm is Arm.REAL_PLUS_SYNTHETIC:
        trained_on += f", {arm.num_synthetic} synthetic"
    return ArmLine(
        name=ARM_NAMES[arm.arm],
        trained_on=trained_on,
        accuracy=percent(arm.accuracy.value, 1),
        accuracy_interval=_percent_interval(arm.accuracy) if conclusive else "",
        macro_f1=percent(arm.macro_f1.value, 1),
        macro_f1_interval=_percent_interval(arm.macro_f1) if conclusive else "",
        runs=", ".join(percent(run, 1) for run in arm.runs_accuracy),
    )


def _percent_interval(estimate: Estimate) -> str:
    return f"{100 * estimate.interval.low:.1f} to {100 * estimate.interval.high:.1f} %"


def _lift(lift: Lift) -> LiftLine:
    reading = "the interval holds 0: no difference shown"
    if lift.interval.low > 0:
        reading = "better"
    elif lift.interval.high < 0:
        reading = "worse"
    return LiftLine(
        name=f"{ARM_NAMES[lift.arm]} over {ARM_NAMES[lift.over]}",
        metric=_METRICS.get(lift.metric, lift.metric),
        points=points(lift.value),
        interval=points_interval(lift.interval),
        reading=reading,
    )


def _confusion(arm: ArmResult, classes: Sequence[str]) -> Confusion:
    rows = []
    for index, (name, counts) in enumerate(zip(classes, arm.confusion, strict=True)):
        total = max(sum(counts), 1)
        cells = [ConfusionCell(count, round(100 * count / total), place == index) for place, count in enumerate(counts)]
        rows.append((name, cells))
    return Confusion(ARM_NAMES[arm.arm], rows)


def _recall(name: str, result: RecognitionResult) -> RecallLine:
    recalls = {arm.arm: arm.recall.get(name) for arm in result.arms}
    with_it, without = recalls.get(Arm.REAL_PLUS_SYNTHETIC), recalls.get(Arm.REAL_AUGMENTED)
    change = points(with_it - without) if with_it is not None and without is not None else MISSING
    counts = result.num_images.get(name, {})
    return RecallLine(
        name=name,
        num_images={split.value: counts.get(split, 0) for split in Split},
        num_synthetic=result.num_synthetic_images.get(name, 0),
        recalls=[percent(recall, 1) for recall in recalls.values()],
        change=change if not result.is_inconclusive else MISSING,
    )


def _telling(one: TellingImage, images: Mapping[str, ImageRecord], pictures: Pictures) -> Telling:
    record = images.get(one.image_id)
    return Telling(
        picture=pictures(record.sha256, THUMBNAIL_PX) if record is not None else None,
        filename=record.filename if record is not None else "deleted since",
        class_name=one.class_name,
        shares=[(ARM_NAMES[arm], percent(one.share_right[arm])) for arm in Arm if arm in one.share_right],
    )
