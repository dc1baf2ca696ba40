"""Which pictures training may not see: those of validation and test, by their pixels and by their groups."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.datasets import Split
from service.contracts.ids import TenantId
from service.store import datasets
from service.store.tables import DatasetVersionRow, ImageRow, VersionImageRow


@dataclass(frozen=True)
class HeldOut:
    """Pixels by digest, and groups by (dataset, name)."""

    pixel_sha256s: frozenset[str]
    groups: frozenset[tuple[str, str]]

    def holds(self, image: ImageRow) -> bool:
        """Whether training may not see the image: its own split says so, or it is in another split, too."""
        return (
            image.split != Split.TRAIN
            or image.pixel_sha256 in self.pixel_sha256s
            or (image.dataset_id, image.group) in self.groups
        )


def held_out(session: Session, tenant_id: TenantId, version_ids: Collection[str]) -> HeldOut:
    """What validation and test hold in these versions and in the latest ones of their datasets.

    An upload that replaces a class may move a picture to another split, hence the latest ones.
    """
    dataset_ids = session.scalars(
        select(DatasetVersionRow.dataset_id).where(
            DatasetVersionRow.id.in_(version_ids), DatasetVersionRow.tenant_id == tenant_id
        )
    )
    latest = {datasets.version(session, tenant_id, one).id for one in set(dataset_ids)}
    query = (
        select(ImageRow.pixel_sha256, ImageRow.dataset_id, ImageRow.group)
        .join(VersionImageRow, VersionImageRow.image_id == ImageRow.id)
        .where(VersionImageRow.version_id.in_({*version_ids, *latest}), ImageRow.tenant_id == tenant_id)
        .where(ImageRow.split != Split.TRAIN)
    )
    rows = session.execute(query).all()
    return HeldOut(
        frozenset(pixel_sha256 for pixel_sha256, _, _ in rows),
        frozenset((dataset_id, group) for _, dataset_id, group in rows if group is not None),
    )
