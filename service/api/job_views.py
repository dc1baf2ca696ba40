"""From a job's row, whole or as a poll reads it, to its view."""

from typing import TypeVar

from service.api.views import JobView
from service.contracts.adaptations import AdaptationResult
from service.contracts.evaluations import EvaluationResult
from service.contracts.generations import GenerationResult
from service.contracts.jobs import JobFailure, JobKind, JobState, Progress
from service.contracts.recognitions import RecognitionResult
from service.contracts.words import Word
from service.store.jobs import PolledJob
from service.store.tables import JobRow, Json

W = TypeVar("W", bound=Word)
_RESULTS: dict[
    JobKind, type[AdaptationResult] | type[GenerationResult] | type[EvaluationResult] | type[RecognitionResult]
] = {
    JobKind.ADAPTATION: AdaptationResult,
    JobKind.GENERATION: GenerationResult,
    JobKind.EVALUATION: EvaluationResult,
    JobKind.RECOGNITION: RecognitionResult,
}


def job_view(row: JobRow | PolledJob, queue_position: int | None, *, with_result: bool = True) -> JobView:
    """One job; the result, which is large, may be left out and is not read then."""
    kind = JobKind(row.kind)
    progress = _read(Progress, row.progress)
    links = {"self": f"/v1/jobs/{row.id}", "resource": kind.path_of(row.resource_id)}
    if not JobState(row.state).is_final:
        links |= {"cancel": f"/v1/jobs/{row.id}/cancel", "events": f"/v1/jobs/{row.id}/events"}
    return JobView(
        id=row.id,
        kind=kind,
        state=JobState(row.state),
        resource_id=row.resource_id,
        class_name=row.class_name,
        adapter_id=row.adapter_id,
        progress=progress,
        result=_read(_RESULTS[kind], row.result) if with_result else None,
        failure=_read(JobFailure, row.failure),
        queue_position=queue_position,
        seconds_left=progress.seconds_left if progress is not None and row.state == JobState.RUNNING else None,
        attempts=row.attempts,
        revision=row.revision,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        links=links,
    )


def _read(word: type[W], value: Json | str | None) -> W | None:
    """From a column, parsed or not."""
    if value is None:
        return None
    return word.model_validate_json(value) if isinstance(value, str) else word.model_validate(value)
