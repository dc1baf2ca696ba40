"""Queries about the example images of a search's trials."""

from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.contracts.ids import AdaptationId, ImageId, Sha256, TenantId
from service.contracts.search import TrialExample
from service.errors import NotFound
from service.store import adaptations
from service.store.tables import TrialExampleRow


def replace(
    session: Session,
    tenant_id: TenantId,
    adaptation_id: AdaptationId,
    class_name: str,
    examples: Iterable[TrialExample],
) -> None:
    """These and no others are a class's examples; their bytes must be stored already."""
    session.execute(
        delete(TrialExampleRow).where(
            TrialExampleRow.adaptation_id == adaptation_id, TrialExampleRow.class_name == class_name
        )
    )
    session.add_all(
        TrialExampleRow(adaptation_id=adaptation_id, class_name=class_name, tenant_id=tenant_id, **one.model_dump())
        for one in examples
    )
    session.flush()


def of_adaptation(session: Session, tenant_id: TenantId, adaptation_id: str) -> dict[str, list[TrialExample]]:
    """The examples of each class, in the order of trial and number."""
    query = (
        select(TrialExampleRow)
        .where(TrialExampleRow.adaptation_id == adaptation_id, TrialExampleRow.tenant_id == tenant_id)
        .order_by(TrialExampleRow.class_name, TrialExampleRow.trial, TrialExampleRow.number)
    )
    found: dict[str, list[TrialExample]] = {}
    for row in session.scalars(query):
        found.setdefault(row.class_name, []).append(_as_example(row))
    return found


def one(
    session: Session, tenant_id: TenantId, adaptation_id: str, class_name: str, trial: int, number: int
) -> TrialExample:
    """One example. Raises ``NotFound``, and ``Gone`` for one of a deleted adaptation."""
    row = session.get(TrialExampleRow, (adaptation_id, class_name, trial, number))
    if row is None or row.tenant_id != tenant_id:
        adaptations.get(session, tenant_id, adaptation_id)
        raise NotFound(
            f"trial {trial} of class {class_name!r} has no example {number}",
            field="number",
            remedy="The adaptation's trials name the examples that there are.",
        )
    return _as_example(row)


def _as_example(row: TrialExampleRow) -> TrialExample:
    return TrialExample(
        trial=row.trial,
        number=row.number,
        sha256=Sha256(row.sha256),
        size_bytes=row.size_bytes,
        width_px=row.width_px,
        height_px=row.height_px,
        seed=row.seed,
        source_image_id=ImageId(row.source_image_id) if row.source_image_id is not None else None,
        second_source_image_id=ImageId(row.second_source_image_id) if row.second_source_image_id is not None else None,
    )
