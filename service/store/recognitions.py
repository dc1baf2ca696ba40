"""Queries about recognitions."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.datasets import Split
from service.contracts.ids import RecognitionId, TenantId
from service.contracts.requests import RecognitionRequest
from service.store.pages import Page, PageRequest, newest_first
from service.store.tables import ImageRow, RecognitionRow, VersionImageRow
from service.store.tombstones import missing


def insert(
    session: Session, tenant_id: TenantId, recognition_id: RecognitionId, request: RecognitionRequest, at: datetime
) -> RecognitionRow:
    """A new recognition; its job is a separate row."""
    row = RecognitionRow(id=recognition_id, tenant_id=tenant_id, request=request.model_dump(mode="json"), created_at=at)
    session.add(row)
    session.flush()
    return row


def get(session: Session, tenant_id: TenantId, recognition_id: str) -> RecognitionRow:
    """One recognition. Raises ``NotFound``."""
    row = session.get(RecognitionRow, recognition_id)
    if row is None or row.tenant_id != tenant_id:
        raise missing(session, tenant_id, "recognition", recognition_id)
    return row


def page(session: Session, tenant_id: TenantId, request: PageRequest) -> Page[RecognitionRow]:
    """The tenant's recognitions, newest first."""
    query = select(RecognitionRow).where(RecognitionRow.tenant_id == tenant_id)
    return newest_first(session, query, RecognitionRow.created_at, RecognitionRow.id, request)


@dataclass(frozen=True)
class PixelsOf:
    """What tells whether two images are the same picture. ``pixel_sha256`` is of mode, size and pixels."""

    pixel_sha256: str
    class_name: str
    filename: str
    split: Split


def seen_test_images(
    session: Session,
    tenant_id: TenantId,
    version_id: str,
    seen_version_ids: Iterable[str],
    classes: Collection[str],
) -> list[tuple[PixelsOf, PixelsOf]]:
    """Test images of a version whose pixels are those of a train or validation image of any of ``seen_version_ids``.

    Only images of ``classes`` count, on both sides. Pairs of (test image, the same picture seen).
    """
    seen: dict[str, PixelsOf] = {}
    for one in sorted(set(seen_version_ids)):
        for image in _pixels_of(session, tenant_id, one, classes):
            if image.split is not Split.TEST:
                seen.setdefault(image.pixel_sha256, image)
    tested = [one for one in _pixels_of(session, tenant_id, version_id, classes) if one.split is Split.TEST]
    return [(one, seen[one.pixel_sha256]) for one in tested if one.pixel_sha256 in seen]


def _pixels_of(session: Session, tenant_id: TenantId, version_id: str, classes: Collection[str]) -> list[PixelsOf]:
    query = (
        select(ImageRow.pixel_sha256, ImageRow.class_name, ImageRow.filename, ImageRow.split)
        .join(VersionImageRow, VersionImageRow.image_id == ImageRow.id)
        .where(VersionImageRow.version_id == version_id, ImageRow.tenant_id == tenant_id)
        .where(ImageRow.class_name.in_(classes))
        .order_by(ImageRow.class_name, ImageRow.filename, ImageRow.id)
    )
    return [PixelsOf(row[0], row[1], row[2], Split(row[3])) for row in session.execute(query)]
