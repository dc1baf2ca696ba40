"""Queries about trained adapters."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.adaptations import AdaptationSettings
from service.contracts.ids import AdaptationId, AdapterId, JobId, TenantId
from service.contracts.search import FoundSettings
from service.store.artifacts import StoredArtifact
from service.store.base import checked
from service.store.pages import Page, PageRequest, newest_first
from service.store.tables import AdapterRow
from service.store.tombstones import missing


def insert(
    session: Session,
    tenant_id: TenantId,
    adapter_id: AdapterId,
    adaptation_id: AdaptationId,
    job_id: JobId,
    class_name: str,
    base_model: str,
    archive: StoredArtifact,
    settings: AdaptationSettings,
    at: datetime,
    checkpoint: str | None = None,
    found: FoundSettings | None = None,
) -> AdapterRow:
    """A new adapter; its zip must be stored already. One job makes one adapter at most."""
    row = AdapterRow(
        id=adapter_id,
        tenant_id=tenant_id,
        adaptation_id=adaptation_id,
        job_id=job_id,
        class_name=class_name,
        base_model=base_model,
        archive_sha256=archive.sha256,
        size_bytes=archive.size_bytes,
        settings=settings.model_dump(mode="json"),
        checkpoint=checkpoint,
        found=found.model_dump(mode="json") if found is not None else None,
        created_at=at,
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, tenant_id: TenantId, adapter_id: str) -> AdapterRow:
    """One adapter. Raises ``NotFound``."""
    row = session.get(AdapterRow, adapter_id)
    if row is None or row.tenant_id != tenant_id:
        raise missing(session, tenant_id, "adapter", adapter_id)
    return row


def page(session: Session, tenant_id: TenantId, class_name: str | None, request: PageRequest) -> Page[AdapterRow]:
    """The tenant's adapters, newest first, of one class where it is named."""
    query = select(AdapterRow).where(AdapterRow.tenant_id == tenant_id)
    if class_name is not None:
        query = query.where(AdapterRow.class_name == class_name)
    return newest_first(session, query, AdapterRow.created_at, AdapterRow.id, request)


def of_adaptations(session: Session, tenant_id: TenantId, adaptation_ids: Sequence[str]) -> list[AdapterRow]:
    """The adapters that the adaptations made, in the order of class names."""
    query = (
        select(AdapterRow)
        .where(AdapterRow.adaptation_id.in_(adaptation_ids), checked(AdapterRow.tenant_id == tenant_id))
        .order_by(AdapterRow.class_name, AdapterRow.id)
    )
    return list(session.scalars(query))


def delete(session: Session, row: AdapterRow) -> None:
    """Delete an adapter; its bytes are left to the sweep of orphans."""
    session.delete(row)
    session.flush()


def base_model_of(session: Session, tenant_id: TenantId, adapter_id: str) -> str | None:
    """The base model of an adapter; None where the adapter was deleted."""
    row = session.get(AdapterRow, adapter_id)
    return row.base_model if row is not None and row.tenant_id == tenant_id else None
