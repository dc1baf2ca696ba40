"""What was deleted, when and why: a deleted id answers 410 where an unknown one answers 404."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete
from sqlalchemy.orm import Session

from service.contracts.ids import TenantId
from service.errors import Gone, NotFound
from service.store.tables import TombstoneRow


class Reason(StrEnum):
    """Why something was deleted."""

    CLIENT = "client"
    RETENTION = "retention"


_WORDS = {
    Reason.CLIENT: "by a client",
    Reason.RETENTION: "because the time that the operator keeps such things was over",
}


@dataclass(frozen=True)
class Deletion:
    """A deletion as its tombstones tell it."""

    at: datetime
    reason: Reason = Reason.CLIENT


def bury(session: Session, tenant_id: TenantId, ids: Iterable[str], deletion: Deletion) -> None:
    """Note that these were deleted; they must not have been noted before."""
    session.add_all(
        TombstoneRow(id=one, tenant_id=tenant_id, reason=deletion.reason, deleted_at=deletion.at) for one in ids
    )
    session.flush()


def missing(session: Session, tenant_id: TenantId, what: str, row_id: str) -> NotFound:
    """The error to raise where there is no such row: ``Gone`` for what this tenant had, ``NotFound`` otherwise."""
    field = f"{what}_id"
    buried = session.get(TombstoneRow, row_id)
    if buried is None or buried.tenant_id != tenant_id:
        return NotFound(f"there is no {what} {row_id!r}", field=field)
    why = _WORDS[Reason(buried.reason)]
    return Gone(f"{what} {row_id!r} was deleted at {buried.deleted_at:%Y-%m-%dT%H:%M:%SZ} {why}", field=field)


def prune(session: Session, deleted_before: datetime) -> None:
    """Forget old deletions: their ids answer 404 from now on."""
    session.execute(delete(TombstoneRow).where(TombstoneRow.deleted_at < deleted_before))
