"""What people decided about synthetic images: stored per image, counted, and asked for by what leaves rejects out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, func, select, update
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
    stored = _stored(session, generation_id, decisions)
    changed: dict[tuple[str, Decision | None], list[int]] = {}
    for (class_name, number), decision in decisions.items():
        if (class_name, number) not in stored:
            raise NotFound(
                f"generation {generation_id!r} has no image {number} of class {class_name!r}",
                field="decisions",
                remedy="List its images; images appear when their class's job has succeeded.",
            )
        if stored[class_name, number] != decision:
            changed.setdefault((class_name, decision), []).append(number)
    for (class_name, decision), numbers in changed.items():
        values = {"decision": decision, "decided_at": at, "decided_by": by}
        session.execute(
            update(GeneratedImageRow)
            .where(*_images(generation_id, class_name, numbers))
            .values(values if decision is not None else dict.fromkeys(values))
            .execution_options(synchronize_session=False)
        )


def _lock(session: Session, tenant_id: TenantId, generation_id: str) -> None:
    """Of two requests about one generation the second waits for the first, in whatever order they name its images."""
    mine = select(GenerationRow.id).where(GenerationRow.id == generation_id, GenerationRow.tenant_id == tenant_id)
    if session.scalar(mine.with_for_update(key_share=True)) is None:
        raise missing(session, tenant_id, "generation", generation_id)


def _stored(session: Session, generation_id: str, places: Iterable[Place]) -> dict[Place, str | None]:
    """What is decided about those of the images that there are."""
    numbers: dict[str, list[int]] = {}
    for class_name, number in places:
        numbers.setdefault(class_name, []).append(number)
    found: dict[Place, str | None] = {}
    for class_name, wanted in numbers.items():
        query = select(GeneratedImageRow.number, GeneratedImageRow.decision)
        for number, decision in session.execute(query.where(*_images(generation_id, class_name, wanted))):
            found[class_name, number] = decision
    return found


def _images(generation_id: str, class_name: str, numbers: Sequence[int]) -> list[ColumnElement[bool]]:
    return [
        GeneratedImageRow.generation_id == generation_id,
        GeneratedImageRow.class_name == class_name,
        GeneratedImageRow.number.in_(numbers),
    ]


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
