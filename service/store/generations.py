"""Queries about generations and their synthetic images."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from service.contracts.generations import DecidedImage, Decision, DecisionState, GeneratedImage, GenerationSettings
from service.contracts.ids import GenerationId, ImageId, JobId, Sha256, TenantId
from service.errors import NotFound
from service.store.pages import Page, PageRequest, decode_cursor, encode_cursor, newest_first
from service.store.tables import GeneratedImageRow, GenerationRow
from service.store.tombstones import missing


def insert(
    session: Session,
    tenant_id: TenantId,
    generation_id: GenerationId,
    seed: int,
    settings: GenerationSettings,
    at: datetime,
) -> GenerationRow:
    """A new generation; its jobs are separate rows."""
    row = GenerationRow(
        id=generation_id, tenant_id=tenant_id, seed=seed, settings=settings.model_dump(mode="json"), created_at=at
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, tenant_id: TenantId, generation_id: str) -> GenerationRow:
    """One generation. Raises ``NotFound``."""
    row = session.get(GenerationRow, generation_id)
    if row is None or row.tenant_id != tenant_id:
        raise missing(session, tenant_id, "generation", generation_id)
    return row


def page(session: Session, tenant_id: TenantId, request: PageRequest) -> Page[GenerationRow]:
    """The tenant's generations, newest first."""
    query = select(GenerationRow).where(GenerationRow.tenant_id == tenant_id)
    return newest_first(session, query, GenerationRow.created_at, GenerationRow.id, request)


def insert_images(
    session: Session,
    tenant_id: TenantId,
    generation_id: GenerationId,
    job_id: JobId,
    images: Sequence[GeneratedImage],
) -> None:
    """Publish one job's images; their bytes must be stored already."""
    session.add_all(
        GeneratedImageRow(generation_id=generation_id, tenant_id=tenant_id, job_id=job_id, **image.model_dump())
        for image in images
    )
    session.flush()


def images_of(
    session: Session, tenant_id: TenantId, generation_id: str, class_name: str | None = None
) -> list[DecidedImage]:
    """The images of a generation (of one class where it is named), in the order of class and number."""
    return [as_image(row) for row in _rows(session, tenant_id, generation_id, class_name)]


def _rows(
    session: Session, tenant_id: TenantId, generation_id: str, class_name: str | None
) -> Iterator[GeneratedImageRow]:
    query = (
        select(GeneratedImageRow)
        .where(GeneratedImageRow.tenant_id == tenant_id, GeneratedImageRow.generation_id == generation_id)
        .order_by(GeneratedImageRow.class_name, GeneratedImageRow.number)
    )
    if class_name is not None:
        query = query.where(GeneratedImageRow.class_name == class_name)
    yield from session.scalars(query)


def page_of_images(
    session: Session,
    tenant_id: TenantId,
    generation_id: str,
    class_name: str | None,
    request: PageRequest,
    decision: DecisionState | None = None,
) -> Page[DecidedImage]:
    """A page of a generation's images, in the order of class and number. Raises ``InvalidCursor``."""
    place = tuple_(GeneratedImageRow.class_name, GeneratedImageRow.number)
    query = select(GeneratedImageRow).where(
        GeneratedImageRow.tenant_id == tenant_id, GeneratedImageRow.generation_id == generation_id
    )
    if class_name is not None:
        query = query.where(GeneratedImageRow.class_name == class_name)
    if decision is not None:
        undecided = decision is DecisionState.UNDECIDED
        query = query.where(GeneratedImageRow.decision == (None if undecided else decision))
    if request.cursor is not None:
        query = query.where(place > tuple(decode_cursor(request.cursor, (str, int))))
    query = query.order_by(GeneratedImageRow.class_name, GeneratedImageRow.number).limit(request.size + 1)
    images = [as_image(row) for row in session.scalars(query)]
    if len(images) <= request.size:
        return Page(images, None)
    last = images[request.size - 1]
    return Page(images[: request.size], encode_cursor(last.class_name, last.number))


def image(session: Session, tenant_id: TenantId, generation_id: str, class_name: str, number: int) -> DecidedImage:
    """One synthetic image. Raises ``NotFound``, and ``Gone`` for one of a deleted generation."""
    row = session.get(GeneratedImageRow, (generation_id, class_name, number))
    if row is None or row.tenant_id != tenant_id:
        get(session, tenant_id, generation_id)
        raise NotFound(
            f"generation {generation_id!r} has no image {number} of class {class_name!r}",
            field="number",
            remedy="List its images; images appear when their class's job has succeeded.",
        )
    return as_image(row)


def counts(session: Session, tenant_id: TenantId, generation_id: str) -> dict[str, int]:
    """Published images for each class."""
    query = (
        select(GeneratedImageRow.class_name, func.count())
        .where(GeneratedImageRow.tenant_id == tenant_id, GeneratedImageRow.generation_id == generation_id)
        .group_by(GeneratedImageRow.class_name)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def as_image(row: GeneratedImageRow) -> DecidedImage:
    """The contract of an image row."""
    return DecidedImage(
        class_name=row.class_name,
        number=row.number,
        sha256=Sha256(row.sha256),
        size_bytes=row.size_bytes,
        width_px=row.width_px,
        height_px=row.height_px,
        mode=row.mode,
        seed=row.seed,
        source_image_id=ImageId(row.source_image_id) if row.source_image_id is not None else None,
        second_source_image_id=ImageId(row.second_source_image_id) if row.second_source_image_id is not None else None,
        candidate=row.candidate,
        nearest_image_id=ImageId(row.nearest_image_id) if row.nearest_image_id is not None else None,
        nearest_feature_ratio=row.nearest_feature_ratio,
        nearest_pixel_ratio=row.nearest_pixel_ratio,
        decision=Decision(row.decision) if row.decision is not None else None,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )
