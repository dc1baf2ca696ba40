"""From the service's answers to the benchmark's figures."""

from neu_findings import Cell, Found, Gated, Recognised, Tried

from service.api.views import AdaptationView, EvaluationView, GenerationReport, RecognitionView
from service.contracts.adaptations import AdaptationResult
from service.contracts.generations import GenerationResult
from service.contracts.search import SearchTrial

_COPY = "copy"


def cell(
    split: int, arm: str, mode: str, class_name: str, evaluation: EvaluationView,
    made: GenerationResult | None = None,
) -> Cell | None:  # fmt: skip
    """One row's figures of one class; None where its evaluation has no result."""
    if evaluation.result is None:
        return None
    quality = evaluation.result.quality
    copy_floor = made.quality.copy_floor if made and made.quality else None
    return Cell(
        split=split,
        arm=arm,
        mode=mode,
        class_name=class_name,
        num_images=quality.score.num_other,
        fid=quality.score.fid,
        kid=quality.score.kid,
        kid_std=quality.score.kid_std,
        matched_fid=quality.matched.fid,
        matched_kid=quality.matched.kid,
        floor_fid=quality.real_floor.fid,
        floor_kid=quality.real_floor.kid,
        density=quality.density.value if quality.density else None,
        coverage=quality.coverage.value if quality.coverage else None,
        copy_floor_kid=copy_floor.kid if copy_floor else None,
        share_copies=_share_copies(made),
        is_complete=made is None or made.num_images == made.num_requested,
    )


def _share_copies(made: GenerationResult | None) -> float | None:
    """Of all that were made, delivered or not."""
    if made is None or made.judging is None:
        return None
    return made.judging.rejected.get(_COPY, 0) / made.judging.num_candidates


def found(split: int, arm: str, adaptation: AdaptationView) -> list[Found]:
    """What each class's search came to."""
    results = {job.class_name: job.result for job in adaptation.jobs if isinstance(job.result, AdaptationResult)}
    return [_found(split, arm, name, result) for name, result in results.items()]


def _found(split: int, arm: str, class_name: str, result: AdaptationResult) -> Found:
    settings, report, seconds = result.found, result.search, result.stage_seconds
    trials = {trial.number: trial for trial in report.trials} if report else {}
    best = trials.get(report.best) if report and report.best is not None else None
    return Found(
        split=split,
        arm=arm,
        class_name=class_name,
        checkpoint=result.checkpoint,
        strength=settings.strength if settings else None,
        guidance_scale=settings.guidance_scale if settings else None,
        lora_scale=settings.lora_scale if settings else None,
        num_inference_steps=settings.num_inference_steps if settings else None,
        splice_sources=settings.splice_sources if settings else None,
        kid=best.kid if best else None,
        share_copies=best.share_copies if best else None,
        defaults=[_tried(trials[number]) for number in (0, 1) if number in trials],
        num_trials=len(trials),
        stopped_because=report.stopped_because if report else None,
        training_seconds=sum(value for stage, value in seconds.items() if stage != "search"),
        search_seconds=seconds.get("search", 0.0),
    )


def _tried(trial: SearchTrial) -> Tried:
    return Tried(trial.splice_sources, trial.kid, trial.share_copies)


def gated(split: int, report: GenerationReport) -> list[Gated]:
    """How each class's judged images came about."""
    return [
        Gated(
            split=split, class_name=name, num_images=result.num_images,
            num_requested=result.num_requested or result.num_images,
            num_candidates=result.judging.num_candidates if result.judging else result.num_images,
            rejected=dict(result.judging.rejected) if result.judging else {},
        )
        for name, result in report.results.items()
    ]  # fmt: skip


def recognised(split: int, recognition: RecognitionView) -> Recognised | None:
    """One split's recognition; None where its job did not succeed."""
    result = recognition.result
    if result is None:
        return None
    return Recognised(
        split=split,
        sentence=result.sentence,
        chosen_ratio=result.chosen_ratio,
        validation={f"{tried.ratio:g}": tried.validation_accuracy for tried in result.selection},
        accuracy={arm.arm: arm.accuracy.value for arm in result.arms},
        macro_f1={arm.arm: arm.macro_f1.value for arm in result.arms},
        runs={arm.arm: list(arm.runs_accuracy) for arm in result.arms},
        recall={arm.arm: dict(arm.recall) for arm in result.arms},
        notes=list(result.notes),
        seconds=sum(result.stage_seconds.values()),
    )
