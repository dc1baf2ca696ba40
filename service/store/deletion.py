"""Delete what nothing cites any more, one resource a transaction. Bytes are left to the sweep of orphaned files."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.contracts.evaluations import DatasetImages, EvaluationParams, GenerationImages
from service.contracts.ids import TenantId
from service.contracts.jobs import JobKind, JobState
from service.contracts.recognitions import RecognitionParams
from service.errors import StillCited
from service.store import adaptations, adapters, datasets, evaluations, generations, jobs, recognitions, tombstones
from service.store.database import Database
from service.store.tables import AdaptationRow, AdapterRow, EvaluationRow, GenerationRow, JobRow, RecognitionRow
from service.store.tombstones import Deletion


def delete_dataset(database: Database, tenant_id: TenantId, dataset_id: str, deletion: Deletion) -> None:
    """Delete a dataset and the adaptations that made nothing of it.

    Raises ``NotFound``; ``StillCited`` while an adapter, or a job that is not final, cites it.
    """
    try:
        with database.transaction() as session:
            row = datasets.get(session, tenant_id, dataset_id, lock=True)
            citing = adaptations.ids_of_dataset(session, tenant_id, dataset_id)
            _refuse_while_cited(session, tenant_id, dataset_id, citing)
            _bury_with_jobs(session, tenant_id, citing, deletion)
            adaptations.delete(session, tenant_id, citing)
            datasets.delete(session, row)
            tombstones.bury(session, tenant_id, [dataset_id], deletion)
    except IntegrityError as error:  # an adaptation was accepted at the same moment
        raise StillCited(f"dataset {dataset_id!r} has just been cited by new work") from error


def _refuse_while_cited(session: Session, tenant_id: TenantId, dataset_id: str, citing: list[str]) -> None:
    _refuse_adapters(
        session, tenant_id, f"dataset {dataset_id!r}", citing, "Delete its adaptations with their adapters first"
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


def delete_adaptation(
    database: Database, tenant_id: TenantId, adaptation_id: str, deletion: Deletion, *, with_adapters: bool = False
) -> None:
    """Delete an adaptation with its jobs, and with its adapters where that is asked for: all of it or nothing.

    Raises ``NotFound``; ``StillCited`` while it has a live job, or an adapter that a live job needs or is to stay.
    """
    what = f"adaptation {adaptation_id!r}"
    with database.transaction() as session:
        _lock(session, tenant_id, AdaptationRow, "adaptation", adaptation_id)
        if with_adapters:
            for row in adapters.of_adaptations(session, tenant_id, [adaptation_id]):
                _delete_adapter(session, tenant_id, row.id, deletion)
        _refuse_adapters(session, tenant_id, what, [adaptation_id], "Delete its adapters first")
        _refuse_live(what, _live(jobs.of_resources(session, tenant_id, [adaptation_id])))
        _bury_with_jobs(session, tenant_id, [adaptation_id], deletion)
        adaptations.delete(session, tenant_id, [adaptation_id])


def delete_adapter(database: Database, tenant_id: TenantId, adapter_id: str, deletion: Deletion) -> None:
    """Delete an adapter. Raises ``NotFound``; ``StillCited`` while a generation job that is not final needs it."""
    with database.transaction() as session:
        _delete_adapter(session, tenant_id, adapter_id, deletion)


def _delete_adapter(session: Session, tenant_id: TenantId, adapter_id: str, deletion: Deletion) -> None:
    _lock(session, tenant_id, AdapterRow, "adapter", adapter_id)
    row = adapters.get(session, tenant_id, adapter_id)
    generating = jobs.live_of_kind(session, tenant_id, JobKind.GENERATION)
    _refuse_live(f"adapter {adapter_id!r}", [job for job in generating if job.adapter_id == adapter_id])
    adapters.delete(session, row)
    tombstones.bury(session, tenant_id, [adapter_id], deletion)


def delete_generation(database: Database, tenant_id: TenantId, generation_id: str, deletion: Deletion) -> None:
    """Delete a generation with its images and jobs. Raises ``NotFound``; ``StillCited`` while a live job needs it."""
    with database.transaction() as session:
        _lock(session, tenant_id, GenerationRow, "generation", generation_id)
        row = generations.get(session, tenant_id, generation_id)
        live = _live(jobs.of_resources(session, tenant_id, [generation_id]))
        live += [
            job
            for job in jobs.live_of_kind(session, tenant_id, JobKind.EVALUATION)
            if generation_id == _generation_of(EvaluationParams.model_validate(job.params))
        ]
        live += [
            job
            for job in jobs.live_of_kind(session, tenant_id, JobKind.RECOGNITION)
            if generation_id == RecognitionParams.model_validate(job.params).generation_id
        ]
        _refuse_live(f"generation {generation_id!r}", live)
        _bury_with_jobs(session, tenant_id, [generation_id], deletion)
        session.delete(row)


def delete_evaluation(database: Database, tenant_id: TenantId, evaluation_id: str, deletion: Deletion) -> None:
    """Delete an evaluation with its job. Raises ``NotFound``; ``StillCited`` while the job is live."""
    with database.transaction() as session:
        _lock(session, tenant_id, EvaluationRow, "evaluation", evaluation_id)
        _delete_alone(session, tenant_id, evaluations.get(session, tenant_id, evaluation_id), "evaluation", deletion)


def delete_recognition(database: Database, tenant_id: TenantId, recognition_id: str, deletion: Deletion) -> None:
    """Delete a recognition with its job. Raises ``NotFound``; ``StillCited`` while the job is live."""
    with database.transaction() as session:
        _lock(session, tenant_id, RecognitionRow, "recognition", recognition_id)
        _delete_alone(session, tenant_id, recognitions.get(session, tenant_id, recognition_id), "recognition", deletion)


def _lock(
    session: Session,
    tenant_id: TenantId,
    table: type[AdaptationRow] | type[AdapterRow] | type[GenerationRow] | type[EvaluationRow] | type[RecognitionRow],
    what: str,
    row_id: str,
) -> None:
    """Hold the row until the transaction ends: of two deletions at once, the second finds that it is gone."""
    mine = select(table.id).where(table.id == row_id, table.tenant_id == tenant_id)
    if session.scalar(mine.with_for_update()) is None:
        raise tombstones.missing(session, tenant_id, what, row_id)


def _delete_alone(
    session: Session, tenant_id: TenantId, row: EvaluationRow | RecognitionRow, what: str, deletion: Deletion
) -> None:
    _refuse_live(f"{what} {row.id!r}", _live(jobs.of_resources(session, tenant_id, [row.id])))
    _bury_with_jobs(session, tenant_id, [row.id], deletion)
    session.delete(row)


def _bury_with_jobs(session: Session, tenant_id: TenantId, resource_ids: Sequence[str], deletion: Deletion) -> None:
    of_them = [job.id for job in jobs.of_resources(session, tenant_id, resource_ids)]
    jobs.delete_of_resources(session, tenant_id, resource_ids)
    tombstones.bury(session, tenant_id, [*resource_ids, *of_them], deletion)


def _refuse_adapters(
    session: Session, tenant_id: TenantId, what: str, adaptation_ids: Sequence[str], remedy: str
) -> None:
    made = adapters.of_adaptations(session, tenant_id, adaptation_ids)
    if made:
        raise StillCited(
            f"{what} is cited by {len(made)} adapters, the first is {made[0].id!r}",
            remedy=f"{remedy}: DELETE /v1/adapters/{{id}}.",
        )


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


def _generation_of(params: EvaluationParams) -> str | None:
    other = params.request.other
    return other.generation_id if isinstance(other, GenerationImages) else None


def _dataset_of(session: Session, tenant_id: TenantId, params: RecognitionParams) -> str:
    return datasets.version_by_id(session, tenant_id, params.dataset_version_id).dataset_id
