"""An evaluation job: any image set of a class scored against real images."""

import time
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import DatasetUnusable
from service.contracts.datasets import Split
from service.contracts.evaluations import (
    DatasetImages,
    EvaluationParams,
    EvaluationRequest,
    EvaluationResult,
    GenerationImages,
)
from service.contracts.generations import GenerationParams
from service.contracts.ids import TenantId
from service.contracts.jobs import JobKind
from service.errors import NotFound
from service.store import adaptations, adapters, datasets, generations
from service.store.base import checked
from service.store.tables import JobRow
from worker.lifecycle import Attempt, Finished
from worker.scoring import Comparison, score
from worker.workshop import Workshop


@dataclass(frozen=True)
class Sets:
    """Digests of both sets' images, and of the train images of the adapter behind a generation.

    ``trained_on``: empty where there was no adapter, none where it was deleted.
    """

    real: list[str]
    other: list[str]
    trained_on: list[str] | None


def run(attempt: Attempt, workshop: Workshop) -> Finished:
    """Score ``other`` against ``real``."""
    request = EvaluationParams.model_validate(attempt.job.params).request
    started = time.monotonic()
    with workshop.database.reading() as session:
        sets = _sets(session, attempt.job.tenant_id, request)
    extractor = workshop.residents.extractor(request.extractor)
    writer = attempt.progress({"features": 1.0})
    candidates = sets.trained_on or []
    done, total = 0, len(sets.real) + len(sets.other) + len(candidates)

    def count() -> None:
        nonlocal done
        done += 1
        writer("features", done, total)

    real, other, trained_on = (
        workshop.features.features(extractor, digests, count) for digests in (sets.real, sets.other, candidates)
    )
    between = time.monotonic()
    comparison = Comparison(
        class_name=request.real.class_name,
        real=real,
        other=other,
        reference_split=request.real.split,
        seen_by_adaptation=not set(candidates).isdisjoint(sets.real),
        copy_candidates=trained_on if len(trained_on) else None,
        notes=_notes(sets),
    )
    report = score(comparison, extractor)
    seconds = {"features": round(between - started, 3), "scores": round(time.monotonic() - between, 3)}
    return Finished(EvaluationResult(quality=report, stage_seconds=seconds))


def _notes(sets: Sets) -> list[str]:
    notes = ["No copy floor: an evaluation knows no sources; the generation's own report has it."]
    shared = len(set(sets.real) & set(sets.other))
    if shared:
        notes.append(f"{shared} images are in both sets, which lowers every distance.")
    if sets.trained_on is None:
        notes.append("The adapter of these images was deleted: what it was trained on is not known.")
    return notes


def _sets(session: Session, tenant: TenantId, request: EvaluationRequest) -> Sets:
    real = _dataset_digests(session, tenant, request.real)
    if isinstance(request.other, DatasetImages):
        return Sets(real, _dataset_digests(session, tenant, request.other), [])
    other = _generation_digests(session, tenant, request.other)
    return Sets(real, other, _trained_on(session, tenant, request.other))


def _dataset_digests(session: Session, tenant: TenantId, images: DatasetImages) -> list[str]:
    version = datasets.version(session, tenant, images.dataset_id, images.dataset_version_id)
    records = datasets.images_of(session, tenant, version.id, images.class_name, images.split)
    return [record.sha256 for record in records]


def _generation_digests(session: Session, tenant: TenantId, images: GenerationImages) -> list[str]:
    found = generations.images_of(session, tenant, images.generation_id, images.class_name)
    if not found:
        raise DatasetUnusable(
            f"Generation {images.generation_id} has no images of class {images.class_name!r}.",
            field="other",
            remedy="Wait until the class's generation job has succeeded.",
        )
    return [image.sha256 for image in found]


def _trained_on(session: Session, tenant: TenantId, images: GenerationImages) -> list[str] | None:
    """Digests of the images that the generation's adapter was trained on; empty for the unadapted baseline.

    None where the adapter is no longer there.
    """
    query = select(JobRow).where(
        JobRow.resource_id == images.generation_id,
        JobRow.class_name == images.class_name,
        checked(JobRow.tenant_id == tenant),
        checked(JobRow.kind == JobKind.GENERATION),
    )
    job = session.scalars(query).first()
    if job is None:
        return []
    params = GenerationParams.model_validate(job.params)
    if params.settings.unadapted:
        return []
    try:
        adapter = adapters.get(session, tenant, params.adapter_id)
    except NotFound:
        return None
    adaptation = adaptations.get(session, tenant, adapter.adaptation_id)
    records = datasets.images_of(session, tenant, adaptation.dataset_version_id, adapter.class_name, Split.TRAIN)
    return [record.sha256 for record in records]
