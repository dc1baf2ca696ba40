"""Queries about evaluations."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.evaluations import EvaluationRequest
from service.contracts.ids import EvaluationId, TenantId
from service.store.pages import Page, PageRequest, newest_first
from service.store.tables import EvaluationRow
from service.store.tombstones import missing


def insert(
    session: Session, tenant_id: TenantId, evaluation_id: EvaluationId, request: EvaluationRequest, at: datetime
) -> EvaluationRow:
    """A new evaluation; its job is a separate row."""
    row = EvaluationRow(id=evaluation_id, tenant_id=tenant_id, request=request.model_dump(mode="json"), created_at=at)
    session.add(row)
    session.flush()
    return row


def get(session: Session, tenant_id: TenantId, evaluation_id: str) -> EvaluationRow:
    """One evaluation. Raises ``NotFound``."""
    row = session.get(EvaluationRow, evaluation_id)
    if row is None or row.tenant_id != tenant_id:
        raise missing(session, tenant_id, "evaluation", evaluation_id)
    return row


def page(session: Session, tenant_id: TenantId, request: PageRequest) -> Page[EvaluationRow]:
    """The tenant's evaluations, newest first."""
    query = select(EvaluationRow).where(EvaluationRow.tenant_id == tenant_id)
    return newest_first(session, query, EvaluationRow.created_at, EvaluationRow.id, request)
