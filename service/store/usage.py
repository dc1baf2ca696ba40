"""What tenants have used lately: a ledger of sums, which no deletion touches.

One row a tenant, kind and ten minutes, written by the transaction that uses something. Whoever deletes work has had it
all the same, so quotas are counted here and not from the rows of jobs. Locks: jobs first, then this, then webhooks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.contracts.ids import TenantId
from service.store.tables import UsageRow

WINDOW = timedelta(days=1)
#: A share comes back by so much late: the ledger knows no finer times.
SLOT = timedelta(minutes=10)


class Usage(StrEnum):
    """What is counted."""

    IMAGES = "images"
    DEVICE_SECONDS = "device_seconds"
    UPLOADED_BYTES = "uploaded_bytes"


@dataclass(frozen=True)
class Used:
    """What a tenant used within the window: amounts by the beginning of their slot, the oldest first."""

    slots: Sequence[tuple[datetime, float]]

    @property
    def amount(self) -> float:
        """All of it."""
        return sum(amount for _, amount in self.slots)

    def seconds_until(self, fits: Callable[[float], bool], now: datetime) -> float:
        """Until so much has left the window that the rest ``fits``, where nothing is added meanwhile."""
        left = self.amount
        for slot_at, amount in self.slots:
            left -= amount
            if fits(left):
                return (slot_at + SLOT + WINDOW - now).total_seconds()
        return 0.0


def add(session: Session, tenant_id: str, kind: Usage, amount: float, now: datetime) -> None:
    """Count it. Waits for another transaction that counts the same kind for the tenant, so nothing is lost."""
    if amount <= 0:
        return
    row = {"tenant_id": tenant_id, "kind": kind, "slot_at": _slot(now), "amount": amount}
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    counted = dialect.insert(UsageRow).values(row)
    sums = {"amount": UsageRow.amount + counted.excluded.amount}
    session.execute(counted.on_conflict_do_update(index_elements=["tenant_id", "kind", "slot_at"], set_=sums))


def of_tenant(session: Session, tenant_id: TenantId, kind: Usage, now: datetime) -> Used:
    """What the tenant used since ``now - WINDOW``, and in the rest of the slot which that moment lies in."""
    mine = (UsageRow.tenant_id == tenant_id, UsageRow.kind == kind, UsageRow.slot_at > now - WINDOW - SLOT)
    query = select(UsageRow.slot_at, UsageRow.amount).where(*mine).order_by(UsageRow.slot_at)
    return Used([(slot_at, amount) for slot_at, amount in session.execute(query)])


def prune(session: Session, now: datetime) -> int:
    """Remove what no window reaches any more; how many rows."""
    removed = session.execute(delete(UsageRow).where(UsageRow.slot_at <= now - WINDOW - SLOT))
    return cast("CursorResult[Any]", removed).rowcount


def _slot(now: datetime) -> datetime:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (now - midnight) // SLOT * SLOT
