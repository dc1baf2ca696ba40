"""Use cases: accept work. Validate what it names, write queued rows in one transaction, and wake workers after it."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.contracts.adaptations import AdaptationParams, AdaptationSettings
from service.contracts.datasets import Split
from service.contracts.evaluations import DatasetImages, EvaluationParams, EvaluationRequest, GenerationImages
from service.contracts.generations import (
    MIN_SPLICED_STRENGTH,
    GenerationMode,
    GenerationParams,
    GenerationSettings,
    Origin,
)
from service.contracts.ids import AdaptationId, AdapterId, EvaluationId, GenerationId, TenantId, VersionId
from service.contracts.jobs import JobKind, JobState
from service.contracts.requests import AdaptationRequest, GenerationRequest
from service.contracts.search import FoundSettings
from service.errors import Conflict, InvalidRequest, TooFewImages, UnknownBaseModel
from service.merging import class_seed, merged
from service.queueing import Note, QueuedJob, Queueing, nothing
from service.registry import BaseModelEntry
from service.reports.wording import counted
from service.selection import adapters_to_use
from service.store import adaptations, datasets, evaluations, generations, jobs
from service.store.tables import (
    AdaptationRow,
    AdapterRow,
    DatasetVersionRow,
    EvaluationRow,
    GenerationRow,
    JobRow,
)

#: What an evaluation needs of real images, which are also halved for their floor, and of the others.
MIN_REAL_IMAGES, MIN_OTHER_IMAGES = 4, 2


@dataclass(frozen=True)
class SubmissionLimits:
    """What is accepted at most and at least."""

    max_images_per_class: int
    min_train_images: int


@dataclass(frozen=True)
class AdaptationPlan:
    """An adaptation as it would be queued: one job for each of ``classes``; ``counts`` are of all of the version's."""

    version: DatasetVersionRow
    counts: datasets.SplitCounts
    classes: list[str]
    settings: AdaptationSettings


class Submission:
    """Accepts work for one composition root. ``extractors``: the registered names."""

    def __init__(
        self,
        queueing: Queueing,
        base_models: Mapping[str, BaseModelEntry],
        extractors: Collection[str],
        limits: SubmissionLimits,
    ) -> None:
        self._queueing = queueing
        self._database = queueing.database
        self._clock = queueing.clock
        self._new_id = queueing.new_id
        self._base_models = base_models
        self._extractors = extractors
        self._limits = limits

    def adapt(
        self, tenant_id: TenantId, request: AdaptationRequest, note: Note[AdaptationRow] = nothing
    ) -> AdaptationRow:
        """Queue one adaptation job a class.

        Raises ``UnknownBaseModel``, ``NotFound``, ``InvalidRequest``, ``TooFewImages`` and ``QueueFull``.
        """
        with self._database.transaction() as session:
            plan = self.planned_adaptation(session, tenant_id, request)
            adaptation_id, version_id = AdaptationId(self._new_id("adn")), VersionId(plan.version.id)
            row = adaptations.insert(
                session, tenant_id, adaptation_id, version_id, request.base_model, plan.settings, self._clock()
            )
            queued = [
                QueuedJob(
                    name,
                    AdaptationParams(
                        adaptation_id=adaptation_id,
                        dataset_version_id=version_id,
                        class_name=name,
                        base_model=request.base_model,
                        settings=plan.settings,
                        generation=self._base_model(request.base_model).generation,
                    ),
                )
                for name in plan.classes
            ]
            rows = self._queueing.queue(session, tenant_id, JobKind.ADAPTATION, row.id, queued, request.priority)
            note(session, row)
        self._queueing.wake(rows)
        return row

    def planned_adaptation(self, session: Session, tenant_id: TenantId, request: AdaptationRequest) -> AdaptationPlan:
        """What `adapt` would queue; nothing is written. Raises what it raises, but for the queue."""
        settings = merged(self._base_model(request.base_model).adaptation, request.settings, "settings")
        version = datasets.version(session, tenant_id, request.dataset_id, request.dataset_version_id)
        counts = datasets.class_counts(session, tenant_id, version.id)
        return AdaptationPlan(version, counts, self._adaptable(counts, request), settings)

    def generate(
        self, tenant_id: TenantId, request: GenerationRequest, note: Note[GenerationRow] = nothing
    ) -> GenerationRow:
        """Queue one generation job a class. Raises ``NotFound``, ``Conflict``, ``InvalidRequest``, ``QueueFull``."""
        self._check_num_images(request)
        seed = request.seed if request.seed is not None else secrets.randbits(32)
        with self._database.transaction() as session:
            chosen = adapters_to_use(session, tenant_id, request)
            defaults = self._generation_defaults(chosen)
            generation_id = GenerationId(self._new_id("gen"))
            asked = merged(defaults, request.settings, "settings")
            row = generations.insert(session, tenant_id, generation_id, seed, asked, self._clock())
            queued = [
                QueuedJob(one.class_name, params, params.adapter_id, params.num_images)
                for one in chosen
                for params in [_generation_params(generation_id, one, request, seed, defaults)]
            ]
            rows = self._queueing.queue(session, tenant_id, JobKind.GENERATION, row.id, queued, request.priority)
            note(session, row)
        self._queueing.wake(rows)
        return row

    def evaluate(
        self, tenant_id: TenantId, request: EvaluationRequest, note: Note[EvaluationRow] = nothing
    ) -> EvaluationRow:
        """Queue one evaluation job; dataset versions are fixed now. Raises as ``adapt``, and ``Conflict``."""
        if request.extractor is not None and request.extractor not in self._extractors:
            raise InvalidRequest(
                f"extractor {request.extractor!r} is not registered; registered: {', '.join(self._extractors)}",
                code="unknown_extractor",
                field="extractor",
                remedy="Choose a registered name, or leave the field out.",
            )
        with self._database.transaction() as session:
            real = _resolved(session, tenant_id, request.real, "real", MIN_REAL_IMAGES)
            other: DatasetImages | GenerationImages
            if isinstance(request.other, DatasetImages):
                other = _resolved(session, tenant_id, request.other, "other", MIN_OTHER_IMAGES)
            else:
                other = request.other
                _check_generated(session, tenant_id, other)
            fixed = request.model_copy(update={"real": real, "other": other})
            evaluation_id = EvaluationId(self._new_id("evl"))
            row = evaluations.insert(session, tenant_id, evaluation_id, fixed, self._clock())
            params = EvaluationParams(evaluation_id=evaluation_id, request=fixed)
            queued = [QueuedJob(real.class_name, params)]
            rows = self._queueing.queue(session, tenant_id, JobKind.EVALUATION, row.id, queued, request.priority)
            note(session, row)
        self._queueing.wake(rows)
        return row

    def cancel(self, tenant_id: TenantId, job_id: str) -> JobRow:
        """Cancel a job, or ask the worker that runs it to stop; asking again changes nothing. Raises ``NotFound``."""
        with self._database.transaction() as session:
            return jobs.request_cancel(session, tenant_id, job_id, self._clock())

    def _base_model(self, name: str) -> BaseModelEntry:
        if name not in self._base_models:
            known = ", ".join(sorted(self._base_models))
            raise UnknownBaseModel(f"base model {name!r} is not registered; registered: {known}", field="base_model")
        return self._base_models[name]

    def _adaptable(self, counts: datasets.SplitCounts, request: AdaptationRequest) -> list[str]:
        wanted = list(counts) if request.classes == "all" else list(dict.fromkeys(request.classes))
        unknown = [name for name in wanted if name not in counts]
        if unknown:
            raise InvalidRequest(
                f"the dataset has no class {unknown[0]!r}; it has {', '.join(sorted(counts))}",
                code="unknown_class",
                field="classes",
            )
        minimum = self._limits.min_train_images
        scarce = {name: counts[name][Split.TRAIN] for name in wanted if counts[name][Split.TRAIN] < minimum}
        if scarce:
            listed = ", ".join(f"{name!r} has {number}" for name, number in scarce.items())
            raise TooFewImages(
                f"{minimum} train images a class are needed: {listed}",
                field="classes",
                remedy=f"Add train images to the class until it has {minimum}, or leave it out of 'classes'.",
            )
        return wanted

    def _check_num_images(self, request: GenerationRequest) -> None:
        numbers = request.num_images if isinstance(request.num_images, dict) else {"": request.num_images}
        for name, number in numbers.items():
            if number > self._limits.max_images_per_class:
                raise InvalidRequest(
                    f"{number} images were asked for and {self._limits.max_images_per_class} a class are allowed "
                    "(max_images_per_class_generation)",
                    field=f"num_images.{name}" if name else "num_images",
                    remedy="Ask for fewer, or in several generations with different seeds.",
                )

    def _generation_defaults(self, chosen: Sequence[AdapterRow]) -> GenerationSettings:
        names = sorted({adapter.base_model for adapter in chosen})
        if len(names) > 1:
            raise InvalidRequest(
                f"the adapters belong to different base models: {', '.join(names)}",
                field="adapter_ids",
                remedy="Make one generation for each base model.",
            )
        return self._base_model(names[0]).generation


def _class_settings(
    adapter: AdapterRow, request: GenerationRequest, defaults: GenerationSettings
) -> GenerationSettings:
    """What the client gave over what the adapter's search found over the base model's defaults."""
    defaults = defaults.model_copy(update=_found(adapter, request))
    settings = merged(defaults, request.settings, "settings")
    image_oriented = settings.mode is GenerationMode.IMAGE_ORIENTED
    if image_oriented and settings.strength * settings.num_inference_steps < 1:
        steps = counted(settings.num_inference_steps, "step")
        raise InvalidRequest(
            f"strength {settings.strength:g} of {steps} leaves no denoising step",
            field="settings.strength",
            remedy="Raise strength or num_inference_steps until their product is at least 1.",
        )
    if image_oriented and settings.splice_sources and settings.strength < MIN_SPLICED_STRENGTH:
        raise InvalidRequest(
            f"at strength {settings.strength:g} spliced images of class {adapter.class_name!r} are hardly redrawn",
            field="settings.strength",
            remedy=f"Give a strength of {MIN_SPLICED_STRENGTH} or more, or splice_sources false.",
        )
    return settings


def _found(adapter: AdapterRow, request: GenerationRequest) -> dict[str, object]:
    """By name; the search looked at the adapter, so the unadapted baseline takes nothing from it."""
    if adapter.found is None or request.settings.unadapted:
        return {}
    return FoundSettings.model_validate(adapter.found).model_dump()


def _origins(adapter: AdapterRow, request: GenerationRequest) -> dict[str, Origin]:
    """Noted now: later nothing tells a value that was given from one that was found and is equal."""
    found, given = _found(adapter, request), request.settings.model_fields_set
    below = {name: Origin.SEARCH if name in found else Origin.BASE_MODEL for name in GenerationSettings.model_fields}
    return below | dict.fromkeys(given, Origin.CLIENT)


def _generation_params(
    generation_id: GenerationId,
    adapter: AdapterRow,
    request: GenerationRequest,
    seed: int,
    defaults: GenerationSettings,
) -> GenerationParams:
    name = adapter.class_name
    return GenerationParams(
        generation_id=generation_id,
        adapter_id=AdapterId(adapter.id),
        class_name=name,
        num_images=request.num_images[name] if isinstance(request.num_images, dict) else request.num_images,
        seed=class_seed(seed, name),
        settings=_class_settings(adapter, request, defaults),
        gates=request.gates,
        origins=_origins(adapter, request),
    )


def _resolved(session: Session, tenant_id: TenantId, images: DatasetImages, field: str, least: int) -> DatasetImages:
    """The set with its version fixed, and images in it."""
    version = datasets.version(session, tenant_id, images.dataset_id, images.dataset_version_id)
    counts = datasets.class_counts(session, tenant_id, version.id).get(images.class_name, {})
    number = counts.get(images.split, 0)
    if number < least:
        raise InvalidRequest(
            f"class {images.class_name!r} has {counted(number, 'image')} in split {images.split.value}; "
            f"{least} or more are needed",
            code="too_few_images",
            field=field,
            remedy="Name a class and split with more images; GET /v1/datasets/{id} counts them.",
        )
    return images.model_copy(update={"dataset_version_id": VersionId(version.id)})


def _check_generated(session: Session, tenant_id: TenantId, images: GenerationImages) -> None:
    generations.get(session, tenant_id, images.generation_id)
    number = generations.counts(session, tenant_id, images.generation_id).get(images.class_name, 0)
    if number >= MIN_OTHER_IMAGES:
        return
    of_it = jobs.of_resources(session, tenant_id, [images.generation_id])
    if all(JobState(job.state).is_final for job in of_it if job.class_name == images.class_name):
        raise Conflict(
            f"the generation made {counted(number, 'image')} of class {images.class_name!r}; "
            f"{MIN_OTHER_IMAGES} are needed",
            code="too_few_generated",
            field="other.class_name",
            remedy="Its report says why there are no more; generate again, or name another class.",
        )
    raise Conflict(
        f"the generation has {number} finished images of class {images.class_name!r}",
        code="generation_unfinished",
        field="other.class_name",
        remedy="Wait until the class's job has succeeded.",
    )
