"""How long things are kept. What is over is deleted as a client would delete it, one resource a transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import ColumnElement, Select, exists, or_, select

from service.contracts.ids import TenantId
from service.contracts.jobs import JobState
from service.errors import NotFound, StillCited
from service.store import tombstones, usage
from service.store.database import Database
from service.store.deletion import (
    delete_adaptation,
    delete_dataset,
    delete_evaluation,
    delete_generation,
    delete_recognition,
)
from service.store.jobs import LIVE_STATES
from service.store.tables import (
    AdaptationRow,
    AdapterRow,
    DatasetRow,
    DatasetVersionRow,
    EvaluationRow,
    GenerationRow,
    JobRow,
    RecognitionRow,
)
from service.store.tombstones import Deletion, Reason

_Delete: TypeAlias = Callable[[Database, TenantId, str, Deletion], None]
_Work: TypeAlias = type[AdaptationRow] | type[GenerationRow] | type[EvaluationRow] | type[RecognitionRow]
#: Of two columns, id and tenant.
_Candidates: TypeAlias = "Select[str, str]"


@dataclass(frozen=True)
class Retention:
    """Days that things are kept; None: until a client deletes them. ``remains``: of work that made nothing."""

    datasets_days: float | None = None
    generations_days: float | None = None
    evaluations_days: float | None = None
    remains_days: float | None = None
    tombstones_days: float = 400.0


def expire(database: Database, retention: Retention, now: datetime) -> int:
    """Delete what has been kept long enough and nothing cites; how many resources. Bytes go by the sweep of orphans."""
    num_deleted = 0
    for candidates, delete in _due(retention, now):
        with database.reading() as session:
            found = session.execute(candidates).all()
        num_deleted += sum(_deleted(database, delete, TenantId(tenant), row_id, now) for row_id, tenant in found)
    with database.transaction() as session:
        tombstones.prune(session, now - timedelta(days=retention.tombstones_days))
        usage.prune(session, now)
    return num_deleted


def _deleted(database: Database, delete: _Delete, tenant_id: TenantId, row_id: str, now: datetime) -> bool:
    try:
        delete(database, tenant_id, row_id, Deletion(now, Reason.RETENTION))
    except (StillCited, NotFound):  # used again, or deleted, since the look
        return False
    return True


def _due(retention: Retention, now: datetime) -> list[tuple[_Candidates, _Delete]]:
    """Results before what they were made of, so that a dataset goes once its adaptations' remains are gone."""
    due: list[tuple[_Candidates, _Delete]] = []
    if retention.evaluations_days is not None:
        over = now - timedelta(days=retention.evaluations_days)
        due.append((_settled(EvaluationRow, over), delete_evaluation))
        due.append((_settled(RecognitionRow, over), delete_recognition))
    if retention.generations_days is not None:
        over = now - timedelta(days=retention.generations_days)
        due.append((_settled(GenerationRow, over), delete_generation))
    if retention.remains_days is not None:
        over = now - timedelta(days=retention.remains_days)
        due += [(_remains(table, over), delete) for table, delete in _WORK]
    if retention.datasets_days is not None:
        due.append((_unused_datasets(now - timedelta(days=retention.datasets_days)), delete_dataset))
    return due


_WORK: tuple[tuple[_Work, _Delete], ...] = (
    (EvaluationRow, delete_evaluation),
    (RecognitionRow, delete_recognition),
    (GenerationRow, delete_generation),
    (AdaptationRow, delete_adaptation),
)


def _settled(table: _Work, over: datetime) -> _Candidates:
    """Work that was asked for and whose last job ended before ``over``."""
    lately = or_(JobRow.state.in_(LIVE_STATES), JobRow.finished_at >= over)
    return select(table.id, table.tenant_id).where(table.created_at < over, ~_has_job(table, lately))


def _remains(table: _Work, over: datetime) -> _Candidates:
    """The same, where no job succeeded."""
    return _settled(table, over).where(~_has_job(table, JobRow.state == JobState.SUCCEEDED))


def _has_job(table: _Work, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(JobRow.resource_id == table.id, condition)


def _unused_datasets(over: datetime) -> _Candidates:
    """Datasets without an adapter that were neither uploaded to nor adapted since ``over``."""
    of_it = DatasetVersionRow.dataset_id == DatasetRow.id
    adapted = exists().where(of_it, AdaptationRow.dataset_version_id == DatasetVersionRow.id)
    has_adapter = adapted.where(AdapterRow.adaptation_id == AdaptationRow.id)
    return select(DatasetRow.id, DatasetRow.tenant_id).where(
        DatasetRow.created_at < over,
        ~exists().where(of_it, DatasetVersionRow.created_at >= over),
        ~adapted.where(AdaptationRow.created_at >= over),
        ~has_adapter,
    )
