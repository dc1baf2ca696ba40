"""Use cases: delete what nothing cites any more. Bytes are left to the sweep of orphaned files."""

from collections.abc import Iterable

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.contracts.evaluations import DatasetImages, EvaluationParams
from service.contracts.ids import TenantId
from service.contracts.jobs import JobKind, JobState
from service.contracts.recognitions import RecognitionParams
from service.errors import StillCited
from service.store import adaptations, adapters, datasets, jobs
from service.store.database import Database
from service.store.tables import JobRow


def delete_dataset(database: Database, tenant_id: TenantId, dataset_id: str) -> None:
    """Delete a dataset and the adaptations that made nothing of it.

    Raises ``NotFound``; ``StillCited`` while an adapter, or a job that is not final, cites it.
    """
    try:
        with database.transaction() as session:
            row = datasets.get(session, tenant_id, dataset_id, lock=True)
            citing = adaptations.ids_of_dataset(session, tenant_id, dataset_id)
            _refuse_while_cited(session, tenant_id, dataset_id, citing)
            jobs.delete_of_resources(session, tenant_id, citing)
            adaptations.delete(session, tenant_id, citing)
            datasets.delete(session, row)
    except IntegrityError as error:  # an adaptation was accepted at the same moment
        raise StillCited(f"dataset {dataset_id!r} has just been cited by new work") from error


def _refuse_while_cited(session: Session, tenant_id: TenantId, dataset_id: str, citing: list[str]) -> None:
    made = adapters.of_adaptations(session, tenant_id, citing)
    if made:
        raise StillCited(
            f"dataset {dataset_id!r} is cited by {len(made)} adapters, the first is {made[0].id!r}",
            remedy="Delete the adapters first: DELETE /v1/adapters/{id}.",
        )
    live = _live(jobs.of_resources(session, tenant_id, citing))
    live += [
        job
        for job in jobs.live_of_kind(session, tenant_id, JobKind.EVALUATION)
        if dataset_id in _datasets_of(EvaluationParams.model_validate(job.params))
    ]
    live += [
        job
        for job in jobs.live_of_kind(session, tenant_id, JobKind.RECOGNITION)
        if dataset_id == _dataset_of(session, tenant_id, RecognitionParams.model_validate(job.params))
    ]
    _refuse_live(f"dataset {dataset_id!r}", live)


def delete_adapter(database: Database, tenant_id: TenantId, adapter_id: str) -> None:
    """Delete an adapter. Raises ``NotFound``; ``StillCited`` while a generation job that is not final needs it."""
    with database.transaction() as session:
        row = adapters.get(session, tenant_id, adapter_id)
        generating = jobs.live_of_kind(session, tenant_id, JobKind.GENERATION)
        _refuse_live(f"adapter {adapter_id!r}", [job for job in generating if job.adapter_id == adapter_id])
        adapters.delete(session, row)


def _live(rows: Iterable[JobRow]) -> list[JobRow]:
    return [row for row in rows if not JobState(row.state).is_final]


def _refuse_live(what: str, live: list[JobRow]) -> None:
    if live:
        raise StillCited(
            f"{what} is cited by {len(live)} unfinished jobs, the first is {live[0].id!r}",
            remedy="Wait for the jobs, or cancel them: POST /v1/jobs/{id}/cancel.",
        )


def _datasets_of(params: EvaluationParams) -> set[str]:
    sets = (params.request.real, params.request.other)
    return {one.dataset_id for one in sets if isinstance(one, DatasetImages)}


def _dataset_of(session: Session, tenant_id: TenantId, params: RecognitionParams) -> str:
    return datasets.version_by_id(session, tenant_id, params.dataset_version_id).dataset_id
