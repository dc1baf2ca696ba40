"""From rows to views."""

from collections.abc import Sequence
from urllib.parse import quote

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from service.api.image_views import trial_views
from service.api.job_views import job_view
from service.api.views import (
    AdaptationView,
    AdapterView,
    ClassAnswer,
    DatasetSummary,
    DatasetVersionView,
    DatasetView,
    EvaluationView,
    GenerationClassView,
    GenerationReport,
    GenerationView,
    JobView,
    RecognitionReport,
    RecognitionView,
    WorkState,
)
from service.contracts.adaptations import AdaptationSettings, CurvePoint
from service.contracts.datasets import DatasetWarning
from service.contracts.evaluations import EvaluationRequest, EvaluationResult
from service.contracts.generations import (
    DecisionCounts,
    GenerationParams,
    GenerationResult,
    SettingsInCommon,
)
from service.contracts.ids import JobId, TenantId
from service.contracts.jobs import JobFailure, JobState
from service.contracts.recognitions import RecognitionParams, RecognitionResult
from service.contracts.requests import RecognitionRequest
from service.contracts.search import FoundSettings
from service.reports.closeness import closeness
from service.reports.generation import remake_body
from service.reports.judged import copy_statement
from service.store import adapters, datasets, decisions, jobs, trial_examples
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

_WARNINGS = TypeAdapter(list[DatasetWarning])
_LOSSES = TypeAdapter(list[CurvePoint])


def job_views(session: Session, rows: Sequence[JobRow], *, with_results: bool = True) -> list[JobView]:
    """Several jobs, each with its place in the queue."""
    places = _places(session, rows)
    return [job_view(row, places.get(JobId(row.id)), with_result=with_results) for row in rows]


def _places(session: Session, rows: Sequence[JobRow]) -> dict[JobId, int | None]:
    queued = [row for row in rows if row.state == JobState.QUEUED]
    if len(queued) > 1:
        return {**jobs.queue_places(session)}
    return {JobId(row.id): jobs.queue_position(session, row) for row in queued}


def state_of(rows: Sequence[JobRow]) -> WorkState:
    """Of jobs together: running once one has begun, and final when all are; failed goes before canceled."""
    states = {JobState(row.state) for row in rows}
    if states == {JobState.QUEUED}:
        return WorkState.QUEUED
    if not all(state.is_final for state in states):
        return WorkState.RUNNING
    for state in (JobState.FAILED, JobState.CANCELED):
        if state in states:
            return WorkState(state.value)
    return WorkState.SUCCEEDED


def dataset_view(session: Session, tenant_id: TenantId, row: DatasetRow, version: DatasetVersionRow) -> DatasetView:
    """A dataset in one version."""
    counts = datasets.class_counts(session, tenant_id, version.id)
    return DatasetView(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        version=DatasetVersionView(id=version.id, number=version.number, created_at=version.created_at),
        num_images=sum(sum(splits.values()) for splits in counts.values()),
        classes=counts,
        warnings=_WARNINGS.validate_python(version.warnings),
        links={
            "self": f"/v1/datasets/{row.id}?version_id={version.id}",
            "images": f"/v1/datasets/{row.id}/images?version_id={version.id}",
        },
    )


def dataset_summary(row: DatasetRow) -> DatasetSummary:
    """A dataset in a list."""
    links = {"self": f"/v1/datasets/{row.id}"}
    return DatasetSummary(id=row.id, name=row.name, created_at=row.created_at, links=links)


def adapter_view(row: AdapterRow) -> AdapterView:
    """One adapter."""
    return AdapterView(
        id=row.id,
        adaptation_id=row.adaptation_id,
        job_id=row.job_id,
        class_name=row.class_name,
        base_model=row.base_model,
        size_bytes=row.size_bytes,
        archive_sha256=row.archive_sha256,
        settings=AdaptationSettings.model_validate(row.settings),
        checkpoint=row.checkpoint,
        found=FoundSettings.model_validate(row.found) if row.found is not None else None,
        created_at=row.created_at,
        links={"self": f"/v1/adapters/{row.id}", "archive": f"/v1/adapters/{row.id}/archive"},
    )


def adaptation_view(session: Session, tenant_id: TenantId, row: AdaptationRow) -> AdaptationView:
    """An adaptation with its jobs and adapters."""
    of_it = jobs.of_resources(session, tenant_id, [row.id])
    version = datasets.version_by_id(session, tenant_id, row.dataset_version_id)
    examples = trial_examples.of_adaptation(session, tenant_id, row.id)
    return AdaptationView(
        id=row.id,
        state=state_of(of_it),
        dataset_id=version.dataset_id,
        dataset_version_id=version.id,
        base_model=row.base_model,
        settings=AdaptationSettings.model_validate(row.settings),
        created_at=row.created_at,
        jobs=job_views(session, of_it),
        adapters=[adapter_view(one) for one in adapters.of_adaptations(session, tenant_id, [row.id])],
        trials={
            one.class_name: trial_views(one, examples.get(one.class_name, []), version.dataset_id) for one in of_it
        },
        losses={one.class_name: _LOSSES.validate_python(one.losses) for one in of_it if one.losses is not None},
        links={
            "self": f"/v1/adaptations/{row.id}",
            "events": f"/v1/events?resource_id={row.id}",
            "dataset": f"/v1/datasets/{version.dataset_id}",
            "report_html": f"/v1/adaptations/{row.id}/report.html",
        },
    )


def generation_view(session: Session, tenant_id: TenantId, row: GenerationRow) -> GenerationView:
    """A generation with its classes and jobs."""
    of_it = jobs.of_resources(session, tenant_id, [row.id])
    counts = decisions.counts(session, tenant_id, row.id)
    here = f"/v1/generations/{row.id}"
    classes = [_generation_class(one, counts.get(one.class_name, DecisionCounts()), here) for one in of_it]
    return GenerationView(
        id=row.id,
        state=state_of(of_it),
        seed=row.seed,
        settings=SettingsInCommon.of([one.settings for one in classes]),
        created_at=row.created_at,
        classes=classes,
        jobs=job_views(session, of_it),
        links={
            "self": here,
            "events": f"/v1/events?resource_id={row.id}",
            "images": f"{here}/images",
            "archive": f"{here}/archive",
            "report": f"{here}/report",
            "report_html": f"{here}/report.html",
            "report_csv": f"{here}/report.csv",
        },
    )


def generation_report(session: Session, tenant_id: TenantId, row: GenerationRow) -> GenerationReport:
    """What was measured, class by class, what it means, and what people decided."""
    of_it = jobs.of_resources(session, tenant_id, [row.id])
    results = {job.class_name: GenerationResult.model_validate(job.result) for job in of_it if job.result is not None}
    params = {job.class_name: GenerationParams.model_validate(job.params) for job in of_it}
    return GenerationReport(
        generation_id=row.id,
        state=state_of(of_it),
        results=results,
        answers={name: _class_answer(result, params[name], row.seed) for name, result in results.items()},
        decisions=decisions.counts(session, tenant_id, row.id),
        failures={job.class_name: JobFailure.model_validate(job.failure) for job in of_it if job.failure is not None},
    )


def _class_answer(result: GenerationResult, params: GenerationParams, seed: int) -> ClassAnswer:
    found = closeness(result.quality)
    return ClassAnswer(
        as_close=found.answer,
        reason=found.reason,
        caution=found.caution,
        copies=copy_statement(result),
        remake=remake_body(params, seed),
    )


def _generation_class(job: JobRow, counts: DecisionCounts, here: str) -> GenerationClassView:
    params = GenerationParams.model_validate(job.params)
    return GenerationClassView(
        class_name=params.class_name,
        adapter_id=params.adapter_id,
        num_images=params.num_images,
        num_published=counts.total,
        decisions=counts,
        seed=params.seed,
        settings=params.settings,
        gates=params.gates,
        links={
            "images": f"{here}/images?class_name={quote(params.class_name)}",
            "contact_sheet": f"{here}/classes/{quote(params.class_name)}/contact-sheet",
        },
    )


def evaluation_view(session: Session, tenant_id: TenantId, row: EvaluationRow) -> EvaluationView:
    """An evaluation with its job."""
    of_it = jobs.of_resources(session, tenant_id, [row.id])
    results = [EvaluationResult.model_validate(job.result) for job in of_it if job.result is not None]
    return EvaluationView(
        id=row.id,
        state=state_of(of_it),
        request=EvaluationRequest.model_validate(row.request),
        result=results[0] if results else None,
        created_at=row.created_at,
        jobs=job_views(session, of_it),
        links={"self": f"/v1/evaluations/{row.id}", "events": f"/v1/events?resource_id={row.id}"},
    )


def recognition_view(session: Session, tenant_id: TenantId, row: RecognitionRow) -> RecognitionView:
    """A recognition with its job."""
    of_it = jobs.of_resources(session, tenant_id, [row.id])
    report = recognition_report(row, of_it)
    here = f"/v1/recognitions/{row.id}"
    return RecognitionView(
        id=row.id,
        state=report.state,
        request=report.request,
        result=report.result,
        rejected=report.rejected,
        created_at=row.created_at,
        jobs=job_views(session, of_it),
        links={
            "self": here,
            "events": f"/v1/events?resource_id={row.id}",
            "dataset": f"/v1/datasets/{report.request.dataset_id}",
            "generation": f"/v1/generations/{report.request.generation_id}",
            "report": f"{here}/report",
            "report_html": f"{here}/report.html",
            "report_csv": f"{here}/report.csv",
        },
    )


def recognition_report(row: RecognitionRow, of_it: Sequence[JobRow]) -> RecognitionReport:
    """What the recognition's job found, or how it failed."""
    results = [RecognitionResult.model_validate(job.result) for job in of_it if job.result is not None]
    failures = [JobFailure.model_validate(job.failure) for job in of_it if job.failure is not None]
    return RecognitionReport(
        recognition_id=row.id,
        state=state_of(of_it),
        request=RecognitionRequest.model_validate(row.request),
        result=results[0] if results else None,
        failure=failures[0] if failures else None,
        rejected=RecognitionParams.model_validate(of_it[0].params).rejected,
    )
