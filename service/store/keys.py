"""API keys as they are kept: found by their prefix, known by a digest; revoked ones stay, for lists to tell of them."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.contracts.ids import KeyId, TenantId
from service.contracts.keys import Scope
from service.errors import NotFound
from service.store.tables import ApiKeyRow

_LAST_USED_EVERY = timedelta(minutes=1)


def insert(
    session: Session,
    key_id: KeyId,
    tenant_id: TenantId,
    name: str,
    prefix: str,
    digest: str,
    scopes: list[Scope],
    at: datetime,
    expires_at: datetime | None,
) -> ApiKeyRow:
    """A new key."""
    row = ApiKeyRow(
        id=key_id, tenant_id=tenant_id, name=name, prefix=prefix, digest=digest, scopes=[str(one) for one in scopes],
        created_at=at, expires_at=expires_at,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def by_prefix(session: Session, prefix: str) -> ApiKeyRow | None:
    """The key with this prefix."""
    return session.scalars(select(ApiKeyRow).where(ApiKeyRow.prefix == prefix)).first()


def all_of(session: Session, tenant_id: TenantId | None = None) -> list[ApiKeyRow]:
    """Every key, or a tenant's, oldest first."""
    query = select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.id)
    return list(session.scalars(query if tenant_id is None else query.where(ApiKeyRow.tenant_id == tenant_id)))


def revoke(session: Session, key_id: str, at: datetime) -> ApiKeyRow:
    """Revoke a key; one that is revoked stays as it is. Raises ``NotFound``."""
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        raise NotFound(f"there is no key {key_id!r}", field="key_id", remedy="`defectsynth keys list` shows every id.")
    row.revoked_at = row.revoked_at or at
    return row


def note_use(session: Session, key_id: KeyId, at: datetime) -> None:
    """When the key was last used, written at most once a minute."""
    stale = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < at - _LAST_USED_EVERY)
    session.execute(
        update(ApiKeyRow)
        .where(ApiKeyRow.id == key_id, stale)
        .values(last_used_at=at)
        .execution_options(synchronize_session=False)
    )
