"""An evaluation job: any image set of a class scored against real images."""

import time
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import DatasetUnusable
from service.contracts.evaluations import (
    DatasetImages,
    EvaluationParams,
    EvaluationRequest,
    EvaluationResult,
    GenerationImages,
)
from service.contracts.generations import GenerationMode, GenerationParams
from service.contracts.ids import TenantId
from service.contracts.jobs import JobKind
from service.errors import NotFound
from service.store import adaptations, adapters, datasets, generations
from service.store.base import checked
from service.store.tables import JobRow
from worker.jobs.searching import Real
from worker.lifecycle import Attempt, Finished
from worker.real_images import copies_among
from worker.scoring import Comparison, score
from worker.workshop import Workshop


@dataclass(frozen=True)
class Seen:
    """Digests of the real images behind a generation: its adapter was trained on some, its settings chosen by some, and
    some are what its images began as.

    ``by_search``: empty where no settings were found.
    """

    by_adaptation: list[str] = field(default_factory=list)
    by_search: list[str] = field(default_factory=list)
    as_sources: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Sets:
    """Digests of both sets' images; ``seen``: none where the adapter behind a generation was deleted."""

    real: list[str]
    other: list[str]
    seen: Seen | None


def run(attempt: Attempt, workshop: Workshop) -> Finished:
    """Score ``other`` against ``real``."""
    request = EvaluationParams.model_validate(attempt.job.params).request
    started = time.monotonic()
    with workshop.database.reading() as session:
        sets = _sets(session, attempt.job.tenant_id, request)
    extractor = workshop.residents.extractor(request.extractor)
    writer = attempt.progress({"features": 1.0})
    seen = sets.seen or Seen()
    could_be_copied = seen.by_adaptation or seen.as_sources or sets.real
    done, total = 0, len(sets.real) + 2 * len(sets.other)

    def count() -> None:
        nonlocal done
        done += 1
        writer("features", done, total)

    real, other = (workshop.features.features(extractor, digests, count) for digests in (sets.real, sets.other))
    copies = copies_among(workshop, extractor, sets.other, other, could_be_copied, count)
    between = time.monotonic()
    comparison = Comparison(
        class_name=request.real.class_name,
        real=real,
        other=other,
        reference_split=request.real.split,
        seen_by_adaptation=not set(seen.by_adaptation).isdisjoint(sets.real),
        seen_by_search=not set(seen.by_search).isdisjoint(sets.real),
        seen_as_sources=not set(seen.as_sources).isdisjoint(sets.real),
        copies=copies,
        notes=_notes(sets),
    )
    report = score(comparison, extractor)
    seconds = {"features": round(between - started, 3), "scores": round(time.monotonic() - between, 3)}
    return Finished(EvaluationResult(quality=report, stage_seconds=seconds))


def _notes(sets: Sets) -> list[str]:
    notes = ["No copy floor: an evaluation knows no sources; the generation's own report has it."]
    shared = len(set(sets.real) & set(sets.other))
    if shared:
        told = "1 image is" if shared == 1 else f"{shared} images are"
        notes.append(f"{told} in both sets, which lowers every distance.")
    if sets.seen is None:
        notes.append("The adapter of these images was deleted: what it was trained on and chosen by is not known.")
    return notes


def _sets(session: Session, tenant: TenantId, request: EvaluationRequest) -> Sets:
    real = _dataset_digests(session, tenant, request.real)
    if isinstance(request.other, DatasetImages):
        return Sets(real, _dataset_digests(session, tenant, request.other), Seen())
    other = _generation_digests(session, tenant, request.other)
    return Sets(real, other, _seen(session, tenant, request.other))


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


def _seen(session: Session, tenant: TenantId, images: GenerationImages) -> Seen | None:
    """What the generation's adapter has seen, or the unadapted baseline begun as.

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
        return Seen()
    params = GenerationParams.model_validate(job.params)
    try:
        adapter = adapters.get(session, tenant, params.adapter_id)
    except NotFound:
        return None
    adaptation = adaptations.get(session, tenant, adapter.adaptation_id)
    real = Real.of(datasets.images_of(session, tenant, adaptation.dataset_version_id, adapter.class_name))
    train: list[str] = [record.sha256 for record in real.train]
    sources = train if params.settings.mode is GenerationMode.IMAGE_ORIENTED else []
    if params.settings.unadapted:
        return Seen(as_sources=sources)
    chosen_by = real.reference if adapter.found is not None else []
    return Seen(train, [record.sha256 for record in chosen_by], sources)
