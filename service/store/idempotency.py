"""Answers that were given to requests with an Idempotency-Key: one row a tenant and key, made with what it tells of."""

from datetime import datetime

from sqlalchemy import CursorResult, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.contracts.ids import TenantId
from service.store.tables import IdempotencyRow


class KeyTaken(Exception):
    """Another request with the same key was committed first; this transaction must be rolled back."""


def find(session: Session, tenant_id: TenantId, key: str) -> IdempotencyRow | None:
    """The answer that the key was given."""
    return session.get(IdempotencyRow, (tenant_id, key))


def insert(session: Session, row: IdempotencyRow) -> None:
    """Keep an answer. Waits for a transaction that is about to keep one, and raises ``KeyTaken`` if it did."""
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise KeyTaken from error


def forget(session: Session, before: datetime) -> int:
    """Remove answers that were given before; how many."""
    removed = session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < before))
    assert isinstance(removed, CursorResult)
    return removed.rowcount
