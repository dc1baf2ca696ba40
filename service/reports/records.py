"""What a page is made of: one resource's record, read in one go. The pages themselves look nothing up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from service.contracts.adaptations import AdaptationParams, AdaptationResult, AdaptationSettings
from service.contracts.datasets import ImageRecord
from service.contracts.generations import DecisionCounts, GenerationParams, GenerationResult
from service.contracts.ids import TenantId
from service.contracts.jobs import JobFailure, JobState, Progress
from service.contracts.recognitions import RecognitionParams, RecognitionResult
from service.contracts.requests import RecognitionRequest
from service.contracts.search import SearchSoFar, SearchTrial
from service.errors import NotFound
from service.registry import BaseModelEntry
from service.store import adaptations, adapters, datasets, decisions, generations, jobs, recognitions
from service.store.tables import AdapterRow, JobRow


@dataclass(frozen=True)
class JobRecord:
    """Where a job stands."""

    class_name: str
    state: JobState
    progress: Progress | None = None
    failure: JobFailure | None = None


@dataclass(frozen=True)
class DatasetRecord:
    """The dataset version that something was made from."""

    dataset_id: str
    name: str
    version_id: str
    number: int


@dataclass(frozen=True)
class AdapterRecord:
    """The adapter behind a class's images. ``dataset``: what it was trained on."""

    id: str
    adaptation_id: str
    base_model: str
    checkpoint: str | None
    archive_sha256: str
    dataset: DatasetRecord


@dataclass(frozen=True)
class GenerationClass:
    """One class of a generation; no adapter where it was deleted since."""

    job: JobRecord
    params: GenerationParams
    result: GenerationResult | None
    adapter: AdapterRecord | None


@dataclass(frozen=True)
class GenerationRecord:
    """A generation. ``real_images``: those that the closest cases name, by id. ``state``: of its jobs together.

    ``decisions``: about the published images of each class.
    """

    id: str
    state: str
    seed: int
    created_at: datetime
    classes: Sequence[GenerationClass]
    base_models: Mapping[str, BaseModelEntry] = field(default_factory=dict)
    real_images: Mapping[str, ImageRecord] = field(default_factory=dict)
    decisions: Mapping[str, DecisionCounts] = field(default_factory=dict)


@dataclass(frozen=True)
class AdaptationClass:
    """One class of an adaptation. ``trials``: of its search, so far."""

    job: JobRecord
    params: AdaptationParams
    result: AdaptationResult | None
    trials: Sequence[SearchTrial]


@dataclass(frozen=True)
class AdaptationRecord:
    """An adaptation."""

    id: str
    state: str
    created_at: datetime
    base_model: str
    revision: str | None
    settings: AdaptationSettings
    dataset: DatasetRecord
    classes: Sequence[AdaptationClass]


@dataclass(frozen=True)
class RecognitionRecord:
    """A recognition. ``images``: the test images it shows, by id. ``rejected``: left out, by class and number."""

    id: str
    state: str
    created_at: datetime
    request: RecognitionRequest
    job: JobRecord | None
    result: RecognitionResult | None
    dataset: DatasetRecord | None
    images: Mapping[str, ImageRecord] = field(default_factory=dict)
    rejected: Mapping[str, Sequence[int]] = field(default_factory=dict)


def generation_record(
    session: Session, tenant_id: TenantId, generation_id: str, base_models: Mapping[str, BaseModelEntry]
) -> tuple[GenerationRecord, list[JobRow]]:
    """The record without its state, which is of the jobs given with it. Raises ``NotFound``."""
    row = generations.get(session, tenant_id, generation_id)
    of_it = jobs.of_resources(session, tenant_id, [row.id])
    classes = [_generation_class(session, tenant_id, job) for job in of_it]
    nearest = {
        image.nearest_image_id
        for one in classes
        if one.result is not None
        for image in one.result.closest
        if image.nearest_image_id is not None
    }
    real_images = datasets.images_by_id(session, tenant_id, nearest)
    decided = decisions.counts(session, tenant_id, row.id)
    record = GenerationRecord(row.id, "", row.seed, row.created_at, classes, base_models, real_images, decided)
    return record, of_it


def _generation_class(session: Session, tenant_id: TenantId, job: JobRow) -> GenerationClass:
    params = GenerationParams.model_validate(job.params)
    result = GenerationResult.model_validate(job.result) if job.result is not None else None
    try:
        adapter = _adapter(session, tenant_id, adapters.get(session, tenant_id, params.adapter_id))
    except NotFound:
        adapter = None
    return GenerationClass(_job(job), params, result, adapter)


def _adapter(session: Session, tenant_id: TenantId, row: AdapterRow) -> AdapterRecord:
    made_by = adaptations.get(session, tenant_id, row.adaptation_id)
    return AdapterRecord(
        id=row.id,
        adaptation_id=row.adaptation_id,
        base_model=row.base_model,
        checkpoint=row.checkpoint,
        archive_sha256=row.archive_sha256,
        dataset=_dataset(session, tenant_id, made_by.dataset_version_id),
    )


def _dataset(session: Session, tenant_id: TenantId, version_id: str) -> DatasetRecord:
    version = datasets.version_by_id(session, tenant_id, version_id)
    row = datasets.get(session, tenant_id, version.dataset_id)
    return DatasetRecord(row.id, row.name, version.id, version.number)


def _job(row: JobRow) -> JobRecord:
    return JobRecord(
        class_name=row.class_name,
        state=JobState(row.state),
        progress=Progress.model_validate(row.progress) if row.progress is not None else None,
        failure=JobFailure.model_validate(row.failure) if row.failure is not None else None,
    )


def adaptation_record(
    session: Session, tenant_id: TenantId, adaptation_id: str, base_models: Mapping[str, BaseModelEntry]
) -> tuple[AdaptationRecord, list[JobRow]]:
    """As ``generation_record``."""
    row = adaptations.get(session, tenant_id, adaptation_id)
    of_it = jobs.of_resources(session, tenant_id, [row.id])
    entry = base_models.get(row.base_model)
    record = AdaptationRecord(
        id=row.id,
        state="",
        created_at=row.created_at,
        base_model=row.base_model,
        revision=entry.revision if entry is not None else None,
        settings=AdaptationSettings.model_validate(row.settings),
        dataset=_dataset(session, tenant_id, row.dataset_version_id),
        classes=[_adaptation_class(job) for job in of_it],
    )
    return record, of_it


def _adaptation_class(job: JobRow) -> AdaptationClass:
    result = AdaptationResult.model_validate(job.result) if job.result is not None else None
    trials: Sequence[SearchTrial] = []
    if result is not None and result.search is not None:
        trials = result.search.trials
    elif result is None and job.interim is not None:
        trials = SearchSoFar.model_validate(job.interim).trials
    return AdaptationClass(_job(job), AdaptationParams.model_validate(job.params), result, trials)


def recognition_record(
    session: Session, tenant_id: TenantId, recognition_id: str
) -> tuple[RecognitionRecord, list[JobRow]]:
    """As ``generation_record``; no dataset where it was deleted since."""
    row = recognitions.get(session, tenant_id, recognition_id)
    of_it = jobs.of_resources(session, tenant_id, [row.id])
    request = RecognitionRequest.model_validate(row.request)
    results = [RecognitionResult.model_validate(job.result) for job in of_it if job.result is not None]
    shown = _telling(results)
    record = RecognitionRecord(
        id=row.id,
        state="",
        created_at=row.created_at,
        request=request,
        job=_job(of_it[0]) if of_it else None,
        result=results[0] if results else None,
        dataset=_dataset_if_there(session, tenant_id, request.dataset_version_id),
        images=datasets.images_by_id(session, tenant_id, shown),
        rejected=RecognitionParams.model_validate(of_it[0].params).rejected if of_it else {},
    )
    return record, of_it


def _telling(results: Iterable[RecognitionResult]) -> set[str]:
    return {image.image_id for result in results for image in result.telling_images}


def _dataset_if_there(session: Session, tenant_id: TenantId, version_id: str | None) -> DatasetRecord | None:
    try:
        return _dataset(session, tenant_id, version_id) if version_id is not None else None
    except NotFound:
        return None
