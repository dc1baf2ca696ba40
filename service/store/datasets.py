"""Queries about datasets, their versions and their images."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from service.contracts.datasets import DatasetWarning, ImageRecord, Split
from service.contracts.ids import DatasetId, ImageId, Sha256, TenantId, VersionId
from service.errors import NotFound
from service.store.pages import Page, PageRequest, newest_first
from service.store.tables import DatasetRow, DatasetVersionRow, ImageRow, VersionImageRow
from service.store.tombstones import missing

SplitCounts = dict[str, dict[Split, int]]


def insert_dataset(session: Session, tenant_id: TenantId, dataset_id: DatasetId, name: str, at: datetime) -> DatasetRow:
    """A new dataset without versions."""
    row = DatasetRow(id=dataset_id, tenant_id=tenant_id, name=name, created_at=at)
    session.add(row)
    session.flush()
    return row


def get(session: Session, tenant_id: TenantId, dataset_id: str, *, lock: bool = False) -> DatasetRow:
    """One dataset. ``lock`` holds it until the transaction ends. Raises ``NotFound``."""
    query = select(DatasetRow).where(DatasetRow.id == dataset_id, DatasetRow.tenant_id == tenant_id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise missing(session, tenant_id, "dataset", dataset_id)
    return row


def page(session: Session, tenant_id: TenantId, request: PageRequest) -> Page[DatasetRow]:
    """The tenant's datasets, newest first."""
    query = select(DatasetRow).where(DatasetRow.tenant_id == tenant_id)
    return newest_first(session, query, DatasetRow.created_at, DatasetRow.id, request)


def add_version(
    session: Session,
    tenant_id: TenantId,
    version_id: VersionId,
    dataset_id: DatasetId,
    image_ids: Sequence[ImageId],
    warnings: Sequence[DatasetWarning],
    at: datetime,
) -> DatasetVersionRow:
    """The next version, holding the images named. The dataset should be locked."""
    last = session.scalar(
        select(func.max(DatasetVersionRow.number)).where(
            DatasetVersionRow.dataset_id == dataset_id, DatasetVersionRow.tenant_id == tenant_id
        )
    )
    row = DatasetVersionRow(
        id=version_id,
        tenant_id=tenant_id,
        dataset_id=dataset_id,
        number=(last or 0) + 1,
        created_at=at,
        warnings=[warning.model_dump(mode="json") for warning in warnings],
    )
    session.add(row)
    session.flush()
    session.execute(
        insert(VersionImageRow),
        [{"version_id": version_id, "image_id": image_id, "tenant_id": tenant_id} for image_id in image_ids],
    )
    return row


def insert_images(session: Session, images: Sequence[ImageRow]) -> None:
    """New images of a dataset, not yet in any version."""
    session.add_all(images)
    session.flush()


def version(session: Session, tenant_id: TenantId, dataset_id: str, version_id: str | None = None) -> DatasetVersionRow:
    """The version named, or the latest. Raises ``NotFound``."""
    query = select(DatasetVersionRow).where(
        DatasetVersionRow.dataset_id == dataset_id, DatasetVersionRow.tenant_id == tenant_id
    )
    if version_id is not None:
        query = query.where(DatasetVersionRow.id == version_id)
    row = session.scalar(query.order_by(DatasetVersionRow.number.desc()).limit(1))
    if row is None and version_id is not None:
        get(session, tenant_id, dataset_id)
        raise NotFound(f"dataset {dataset_id!r} has no version {version_id!r}", field="dataset_version_id")
    if row is None:
        raise missing(session, tenant_id, "dataset", dataset_id)
    return row


def version_by_id(session: Session, tenant_id: TenantId, version_id: str) -> DatasetVersionRow:
    """One version by its own id. Raises ``NotFound``."""
    row = session.get(DatasetVersionRow, version_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(f"there is no dataset version {version_id!r}", field="dataset_version_id")
    return row


def class_counts(session: Session, tenant_id: TenantId, version_id: str) -> SplitCounts:
    """Images for each class and split of a version; every split is named, with 0 where it is empty."""
    query = (
        select(ImageRow.class_name, ImageRow.split, func.count())
        .join(VersionImageRow, VersionImageRow.image_id == ImageRow.id)
        .where(VersionImageRow.version_id == version_id, ImageRow.tenant_id == tenant_id)
        .group_by(ImageRow.class_name, ImageRow.split)
        .order_by(ImageRow.class_name)
    )
    counts: SplitCounts = {}
    for class_name, split, number in session.execute(query):
        counts.setdefault(class_name, dict.fromkeys(Split, 0))[Split(split)] = number
    return counts


def rows_of_version(session: Session, tenant_id: TenantId, version_id: str) -> list[ImageRow]:
    """Every image of a version, in the order of class, file name and id."""
    query = (
        select(ImageRow)
        .join(VersionImageRow, VersionImageRow.image_id == ImageRow.id)
        .where(VersionImageRow.version_id == version_id, ImageRow.tenant_id == tenant_id)
        .order_by(ImageRow.class_name, ImageRow.filename, ImageRow.id)
    )
    return list(session.scalars(query))


def images_of(
    session: Session, tenant_id: TenantId, version_id: str, class_name: str | None = None, split: Split | None = None
) -> list[ImageRecord]:
    """The images of a class and split (or of all), in the order of file name and id: the same for every worker."""
    query = (
        select(ImageRow)
        .join(VersionImageRow, VersionImageRow.image_id == ImageRow.id)
        .where(VersionImageRow.version_id == version_id, ImageRow.tenant_id == tenant_id)
    )
    if class_name is not None:
        query = query.where(ImageRow.class_name == class_name)
    if split is not None:
        query = query.where(ImageRow.split == split)
    # Sorted here: a database orders text by its own locale, and the order decides what a seed draws.
    rows = sorted(session.scalars(query), key=lambda row: (row.filename, row.id))
    return [as_record(row) for row in rows]


def page_of_images(
    session: Session, tenant_id: TenantId, version_id: str, class_name: str | None, request: PageRequest
) -> Page[ImageRow]:
    """A version's images, newest first."""
    query = (
        select(ImageRow)
        .join(VersionImageRow, VersionImageRow.image_id == ImageRow.id)
        .where(VersionImageRow.version_id == version_id, ImageRow.tenant_id == tenant_id)
    )
    if class_name is not None:
        query = query.where(ImageRow.class_name == class_name)
    return newest_first(session, query, ImageRow.created_at, ImageRow.id, request)


def image(session: Session, tenant_id: TenantId, dataset_id: str, image_id: str) -> ImageRow:
    """One image of a dataset, in whatever version. Raises ``NotFound``."""
    row = session.get(ImageRow, image_id)
    if row is None or row.tenant_id != tenant_id or row.dataset_id != dataset_id:
        get(session, tenant_id, dataset_id)
        raise NotFound(f"dataset {dataset_id!r} has no image {image_id!r}", field="image_id")
    return row


def images_by_id(session: Session, tenant_id: TenantId, image_ids: Collection[str]) -> dict[str, ImageRecord]:
    """The images named, of any dataset; those that are gone are left out."""
    return {image_id: as_record(row) for image_id, row in rows_by_id(session, tenant_id, image_ids).items()}


def rows_by_id(session: Session, tenant_id: TenantId, image_ids: Collection[str]) -> dict[str, ImageRow]:
    """As ``images_by_id``, with all that the record knows."""
    found: dict[str, ImageRow] = {}
    wanted = sorted(set(image_ids))
    for start in range(0, len(wanted), 500):
        query = select(ImageRow).where(ImageRow.id.in_(wanted[start : start + 500]), ImageRow.tenant_id == tenant_id)
        found |= {row.id: row for row in session.scalars(query)}
    return found


def ids_of_images(session: Session, tenant_id: TenantId, image_ids: Collection[str]) -> dict[str, str]:
    """The dataset of each of the images named (one page's at most); those that are gone are left out."""
    query = select(ImageRow.id, ImageRow.dataset_id).where(
        ImageRow.id.in_(sorted(set(image_ids))), ImageRow.tenant_id == tenant_id
    )
    return {row[0]: row[1] for row in session.execute(query)}


def delete(session: Session, row: DatasetRow) -> None:
    """Delete a dataset with its versions and images; its bytes are left to the sweep of orphans."""
    session.delete(row)
    session.flush()


def as_record(row: ImageRow) -> ImageRecord:
    """The contract of an image row."""
    return ImageRecord(
        id=ImageId(row.id),
        class_name=row.class_name,
        filename=row.filename,
        sha256=Sha256(row.sha256),
        split=Split(row.split),
        group=row.group,
        width_px=row.width_px,
        height_px=row.height_px,
        mode=row.mode,
    )
