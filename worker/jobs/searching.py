"""The search that follows an adaptation's training: which kept adapter to take, and which generation settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from models.adapter import load_adapter
from models.diffusion.base_model import BaseModel
from models.diffusion.seeding import derived_seed
from models.errors import DatasetUnusable, ExtractorUnusable
from models.evaluation.features import FeatureExtractor, Features
from models.evaluation.kernel import kernel_distance
from models.generation.engine import Sample
from models.imaging.fit import FitPolicy
from models.progress import Progress
from models.search.scoring import TrialMaterial, TrialScorer
from models.search.search import SearchOutcome, search
from models.search.space import Candidate, SearchSpace
from models.search.trials import Observation, SearchSettings, Trial, lowest_trial
from service.contracts.adaptations import AdaptationParams
from service.contracts.datasets import ImageRecord, Split
from service.contracts.quality import MIN_VALIDATION_IMAGES, QualityReport
from service.contracts.search import FoundSettings, SearchReport, SearchSoFar, SearchTrial
from service.logs import get_logger
from worker.jobs.judgement import ROUND_TRIP_IMAGES
from worker.jobs.trial_examples import Examples
from worker.lifecycle import Attempt
from worker.real_images import copy_gate_of, sources_of
from worker.scoring import Comparison, score
from worker.workshop import Workshop

_log = get_logger()


@dataclass(frozen=True)
class Found:
    """``checkpoint``: the name of the kept adapter to publish. ``settings``: none where no trial was feasible.

    ``publish`` writes the rows of what the search leaves to look at.
    """

    checkpoint: str
    settings: FoundSettings | None
    report: SearchReport | None
    warnings: list[str]
    publish: Callable[[Session], None] = lambda session: None


@dataclass(frozen=True)
class Real:
    """The class's real images as the search sees them; ``reference`` is what trials are scored against."""

    train: list[ImageRecord]
    reference: list[ImageRecord]
    split: Split
    num_validation: int

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> "Real":
        """Validation images are the reference where there are enough of them, else the train images."""
        train = [record for record in records if record.split is Split.TRAIN]
        validation = [record for record in records if record.split is Split.VALIDATION]
        unseen = len(validation) >= MIN_VALIDATION_IMAGES
        split = Split.VALIDATION if unseen else Split.TRAIN
        return cls(train, validation if unseen else train, split, len(validation))


def find_settings(
    attempt: Attempt,
    workshop: Workshop,
    base: BaseModel,
    records: Sequence[ImageRecord],
    kept: Mapping[str, Path],
    progress: Progress,
) -> Found:
    """Try settings and return the best; goes on from the trials in the job's record.

    Images or an extractor that cannot be used end the search with a warning: what was trained is kept.
    """
    params = AdaptationParams.model_validate(attempt.job.params)
    last = list(kept)[-1]
    if params.settings.search.max_trials == 0:
        return Found(last, None, None, [])
    real = Real.of(records)
    try:
        extractor = workshop.residents.extractor()
        floors = _floors(workshop, base, real, extractor, FitPolicy(params.settings.fit.value))
        material = _material(workshop, base, params, real, extractor, kept)
        made_with = f"{base.identity}, {extractor.name}@{extractor.digest}"
        done = _done(attempt, made_with)
        examples = _examples(attempt, workshop, base, params, real, len(done))
        scorer = TrialScorer(material, progress, params.settings.search.max_trials, len(done))
        outcome = search(
            _space(params, kept, len(real.train)),
            _settings(params),
            scorer,
            first=_defaults(params, last),
            done=done,
            on_trial=_Record(attempt, made_with, list(done), scorer, examples),
        )
    except (DatasetUnusable, ExtractorUnusable) as error:
        _log.warning("search.left_out", code=error.code, message=error.message, detail=error.detail)
        return Found(last, None, None, [f"No settings were searched for: {error}"])
    return replace(_found(outcome, last, _report(outcome, params, real, floors), real), publish=examples.publish)


def _floors(
    workshop: Workshop, base: BaseModel, real: Real, extractor: FeatureExtractor, fit: FitPolicy
) -> QualityReport:
    """What copying would score, with the floor of the reference beside it; no copy to its own source, as in trials."""
    sources = [record.sha256 for record in real.train[:ROUND_TRIP_IMAGES]]
    copied = workshop.features.round_trips(extractor, base, fit, sources)
    reference = workshop.features.features(extractor, [record.sha256 for record in real.reference])
    comparison = Comparison(
        class_name=real.train[0].class_name, real=reference, other=copied, reference_split=real.split,
        seen_by_adaptation=real.split is Split.TRAIN, round_trip=copied,
    )  # fmt: skip
    floors = score(comparison, extractor)
    if real.split is not Split.TRAIN or floors.copy_floor is None:
        return floors
    kernel = kernel_distance(reference, copied, left_out=np.eye(len(reference), len(copied), dtype=bool))
    own = {"kid": kernel.kid, "kid_std": kernel.kid_std, "kid_interval": None}
    return floors.model_copy(update={"copy_floor": floors.copy_floor.model_copy(update=own)})


def _material(
    workshop: Workshop,
    base: BaseModel,
    params: AdaptationParams,
    real: Real,
    extractor: FeatureExtractor,
    kept: Mapping[str, Path],
) -> TrialMaterial:
    train = [record.sha256 for record in real.train]
    gate = copy_gate_of(workshop, extractor, train)

    def are_copies(samples: Sequence[Sample], features: Features) -> list[bool]:
        verdicts = gate.judge([one.image for one in samples], features, [one.source_indices for one in samples])
        return [verdict.is_copy for verdict in verdicts]

    return TrialMaterial(
        base=base,
        sources=sources_of(workshop, base, train, FitPolicy(params.settings.fit.value)),
        adapters={name: load_adapter(folder) for name, folder in kept.items()},
        reference=workshop.features.features(extractor, [record.sha256 for record in real.reference]),
        extractor=extractor,
        are_copies=are_copies,
        num_images=params.settings.search.images_per_trial,
        batch_size=base.batch_size,
        num_examples=params.settings.search.examples_per_trial,
        seed=derived_seed(params.settings.seed, "search"),
        max_share_copies=params.settings.search.max_share_copies,
        reference_is_sources=real.split is Split.TRAIN,
    )


def _space(params: AdaptationParams, kept: Mapping[str, Path], num_sources: int) -> SearchSpace:
    """Around what suits the base model: more steps may do better; guidance from none to well above."""
    may_splice = params.settings.search.splice_sources and num_sources > 1
    usual = params.generation
    more = round(1.5 * usual.num_inference_steps)
    return SearchSpace(
        checkpoints=tuple(kept),
        guidance_scale=(1.0, min(30.0, max(4.0, 1.5 * usual.guidance_scale))),
        num_inference_steps=tuple(sorted({usual.num_inference_steps, more})),
        splice_sources=(False, True) if may_splice else (False,),
    )


def _settings(params: AdaptationParams) -> SearchSettings:
    asked = params.settings.search
    return SearchSettings(
        max_trials=asked.max_trials,
        max_share_copies=asked.max_share_copies,
        seed=derived_seed(params.settings.seed, "proposals"),
    )


def _defaults(params: AdaptationParams, last: str) -> list[Candidate]:
    """The base model's registered settings with the whole training, what would be used without a search; and spliced.

    Spliced also halfway from there to pure noise, which leaves less of the seam. Where nothing may be spliced, the
    first two are one to the search.
    """
    asked = params.generation
    usual = Candidate(last, asked.strength, asked.guidance_scale, asked.lora_scale, asked.num_inference_steps)
    spliced = replace(usual, splice_sources=True)
    return [usual, spliced, replace(spliced, strength=(1 + usual.strength) / 2)]


@dataclass
class _Record:
    """Keeps every trial in the job's record as it ends, with its examples."""

    attempt: Attempt
    made_with: str
    trials: list[Trial]
    scorer: TrialScorer
    examples: Examples

    def __call__(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.examples.add(trial, self.scorer.examples.pop(trial.candidate, ()))
        so_far = SearchSoFar(made_with=self.made_with, trials=[_told(one) for one in self.trials])
        self.attempt.keep(so_far, self.examples.publish)


def _examples(
    attempt: Attempt, workshop: Workshop, base: BaseModel, params: AdaptationParams, real: Real, num_done: int
) -> Examples:
    examples = Examples(workshop.artifacts, attempt.job.tenant_id, params, base.identity, real.train)
    with workshop.database.reading() as session:
        examples.go_on(session, num_done)
    return examples


def _done(attempt: Attempt, made_with: str) -> list[Trial]:
    """The trials of an earlier attempt; none where base model or extractor were replaced in between."""
    if attempt.job.interim is None:
        return []
    kept = SearchSoFar.model_validate(attempt.job.interim)
    return [_tried(trial) for trial in kept.trials] if kept.made_with == made_with else []


def _told(trial: Trial) -> SearchTrial:
    seen = trial.observation
    return SearchTrial(
        number=trial.number, **asdict(trial.candidate), feasible=trial.feasible, kid=seen.kid, kid_std=seen.kid_std,
        fid=seen.fid, share_copies=seen.share_copies, num_images=seen.num_images, seconds=seen.seconds,
        remark=seen.remark, kid_noise=seen.kid_noise, num_scored=seen.num_scored,
    )  # fmt: skip


def _tried(told: SearchTrial) -> Trial:
    candidate = Candidate(
        told.checkpoint, told.strength, told.guidance_scale, told.lora_scale, told.num_inference_steps,
        told.splice_sources,
    )  # fmt: skip
    seen = Observation(
        told.kid, told.kid_std, told.fid, told.share_copies, told.num_images, told.seconds, told.remark, told.kid_noise,
        told.num_scored,
    )  # fmt: skip
    return Trial(told.number, candidate, seen, told.feasible)


def _report(outcome: SearchOutcome, params: AdaptationParams, real: Real, floors: QualityReport) -> SearchReport:
    return SearchReport(
        trials=[_told(trial) for trial in outcome.trials],
        best=outcome.best.number if outcome.best is not None else None,
        stopped_because=str(outcome.stopped_because),
        expected_gain=outcome.expected_gain,
        num_images=params.settings.search.images_per_trial,
        max_share_copies=params.settings.search.max_share_copies,
        reference_split=real.split,
        seen_by_adaptation=real.split is Split.TRAIN,
        extractor=floors.extractor,
        real_floor=floors.real_floor,
        copy_floor=floors.copy_floor,
    )


def _found(outcome: SearchOutcome, last: str, report: SearchReport, real: Real) -> Found:
    warnings = _unused(real)
    if outcome.best is None:
        why = outcome.problem or "no trial was good enough"
        warnings.append(f"The search found no settings ({why}); the base model's defaults are used.")
        return Found(last, None, report, warnings)
    floor, lowest = report.copy_floor, lowest_trial(outcome.trials)
    if floor is not None and lowest is not None and lowest.kid > floor.kid + 2 * lowest.kid_std:
        warnings.append(
            f"At the best settings without copying KID is {lowest.kid:.2f}; the sources' own round trip scores "
            f"{floor.kid:.2f}. Look at the images: more training steps or more train images may help."
        )
    best = outcome.best.candidate
    settings = FoundSettings(
        strength=best.strength, guidance_scale=best.guidance_scale, lora_scale=best.lora_scale,
        num_inference_steps=best.num_inference_steps, splice_sources=best.splice_sources,
    )  # fmt: skip
    return Found(best.checkpoint, settings, report, warnings)


def _unused(real: Real) -> list[str]:
    if real.split is Split.VALIDATION:
        return []
    numbers = {0: "no validation images", 1: "1 validation image"}
    has = numbers.get(real.num_validation, f"{real.num_validation} validation images")
    return [
        f"The class has {has}, fewer than {MIN_VALIDATION_IMAGES}: the search scored against the train images instead."
    ]
