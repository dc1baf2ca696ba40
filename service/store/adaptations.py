"""Queries about adaptations."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.adaptations import AdaptationSettings
from service.contracts.ids import AdaptationId, TenantId, VersionId
from service.store.pages import Page, PageRequest, newest_first
from service.store.tables import AdaptationRow, DatasetVersionRow
from service.store.tombstones import missing


def insert(
    session: Session,
    tenant_id: TenantId,
    adaptation_id: AdaptationId,
    dataset_version_id: VersionId,
    base_model: str,
    settings: AdaptationSettings,
    at: datetime,
) -> AdaptationRow:
    """A new adaptation; its jobs are separate rows."""
    row = AdaptationRow(
        id=adaptation_id,
        tenant_id=tenant_id,
        dataset_version_id=dataset_version_id,
        base_model=base_model,
        settings=settings.model_dump(mode="json"),
        created_at=at,
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, tenant_id: TenantId, adaptation_id: str) -> AdaptationRow:
    """One adaptation. Raises ``NotFound``."""
    row = session.get(AdaptationRow, adaptation_id)
    if row is None or row.tenant_id != tenant_id:
        raise missing(session, tenant_id, "adaptation", adaptation_id)
    return row


def page(session: Session, tenant_id: TenantId, request: PageRequest) -> Page[AdaptationRow]:
    """The tenant's adaptations, newest first."""
    query = select(AdaptationRow).where(AdaptationRow.tenant_id == tenant_id)
    return newest_first(session, query, AdaptationRow.created_at, AdaptationRow.id, request)


def ids_of_dataset(session: Session, tenant_id: TenantId, dataset_id: str) -> list[str]:
    """Every adaptation of any version of a dataset."""
    query = (
        select(AdaptationRow.id)
        .join(DatasetVersionRow, DatasetVersionRow.id == AdaptationRow.dataset_version_id)
        .where(DatasetVersionRow.dataset_id == dataset_id, DatasetVersionRow.tenant_id == tenant_id)
    )
    return list(session.scalars(query))


def of_dataset(session: Session, tenant_id: TenantId, dataset_id: str) -> list[AdaptationRow]:
    """The same, newest first."""
    query = (
        select(AdaptationRow)
        .join(DatasetVersionRow, DatasetVersionRow.id == AdaptationRow.dataset_version_id)
        .where(DatasetVersionRow.dataset_id == dataset_id, DatasetVersionRow.tenant_id == tenant_id)
    )
    return list(session.scalars(query.order_by(AdaptationRow.created_at.desc(), AdaptationRow.id.desc())))


def delete(session: Session, tenant_id: TenantId, adaptation_ids: Sequence[str]) -> None:
    """Delete adaptations that made no adapter."""
    session.execute(
        sql_delete(AdaptationRow).where(AdaptationRow.id.in_(adaptation_ids), AdaptationRow.tenant_id == tenant_id)
    )
