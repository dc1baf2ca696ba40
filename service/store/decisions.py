"""What people decided about synthetic images: stored per image, counted, and asked for by what leaves rejects out."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.contracts.generations import Decision, DecisionCounts, DecisionState
from service.contracts.ids import TenantId
from service.errors import NotFound
from service.store.tables import GeneratedImageRow, GenerationRow
from service.store.tombstones import missing

#: Class and number.
Place: TypeAlias = tuple[str, int]


def decide(
    session: Session,
    tenant_id: TenantId,
    generation_id: str,
    decisions: Mapping[Place, Decision | None],
    *,
    by: str,
    at: datetime,
) -> None:
    """Store decisions, or take back where one is None. An image of which the same was decided before stays as it is.

    All or nothing. Raises ``NotFound`` for the generation and for each image that it has not.
    """
    _lock(session, tenant_id, generation_id)
    rows = _rows(session, generation_id, decisions)
    for place, row in ((place, rows.get(place)) for place in decisions):
        if row is None:
            raise NotFound(
                f"generation {generation_id!r} has no image {place[1]} of class {place[0]!r}",
                field="decisions",
                remedy="List its images; images appear when their class's job has succeeded.",
            )
    for place, decision in decisions.items():
        row = rows[place]
        if row.decision != decision:
            row.decision = decision
            row.decided_at, row.decided_by = (at, by) if decision is not None else (None, None)
    session.flush()


def _lock(session: Session, tenant_id: TenantId, generation_id: str) -> None:
    """Of two requests about one generation the second waits for the first, in whatever order they name its images."""
    mine = select(GenerationRow.id).where(GenerationRow.id == generation_id, GenerationRow.tenant_id == tenant_id)
    if session.scalar(mine.with_for_update(key_share=True)) is None:
        raise missing(session, tenant_id, "generation", generation_id)


def _rows(session: Session, generation_id: str, places: Iterable[Place]) -> dict[Place, GeneratedImageRow]:
    numbers: dict[str, list[int]] = {}
    for class_name, number in places:
        numbers.setdefault(class_name, []).append(number)
    found: dict[Place, GeneratedImageRow] = {}
    for class_name, wanted in numbers.items():
        query = select(GeneratedImageRow).where(
            GeneratedImageRow.generation_id == generation_id,
            GeneratedImageRow.class_name == class_name,
            GeneratedImageRow.number.in_(wanted),
        )
        found |= {(class_name, row.number): row for row in session.scalars(query)}
    return found


def counts(session: Session, tenant_id: TenantId, generation_id: str) -> dict[str, DecisionCounts]:
    """Published images for each class, by decision."""
    query = (
        select(GeneratedImageRow.class_name, GeneratedImageRow.decision, func.count())
        .where(GeneratedImageRow.tenant_id == tenant_id, GeneratedImageRow.generation_id == generation_id)
        .group_by(GeneratedImageRow.class_name, GeneratedImageRow.decision)
    )
    found: dict[str, dict[str, int]] = {}
    for class_name, decision, number in session.execute(query):
        found.setdefault(class_name, {})[decision or DecisionState.UNDECIDED] = number
    return {class_name: DecisionCounts(**numbers) for class_name, numbers in found.items()}


def rejected(session: Session, tenant_id: TenantId, generation_id: str) -> dict[str, list[int]]:
    """The numbers of the rejected images of each class that has any, in order."""
    query = (
        select(GeneratedImageRow.class_name, GeneratedImageRow.number)
        .where(GeneratedImageRow.tenant_id == tenant_id, GeneratedImageRow.generation_id == generation_id)
        .where(GeneratedImageRow.decision == Decision.REJECT)
        .order_by(GeneratedImageRow.class_name, GeneratedImageRow.number)
    )
    found: dict[str, list[int]] = {}
    for class_name, number in session.execute(query):
        found.setdefault(class_name, []).append(number)
    return found
