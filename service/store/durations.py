"""Queries about how long jobs took and what is waiting: what forecasts stand on. Of all tenants; figures alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.adaptations import AdaptationParams, AdaptationResult
from service.contracts.jobs import JobKind, JobState, Progress
from service.store.jobs import LIVE_STATES
from service.store.tables import JobRow

#: Of the latest jobs; older ones ran on other versions and other machines.
_LATEST = 30


@dataclass(frozen=True)
class FinishedAdaptation:
    """An adaptation job that succeeded at its first attempt."""

    params: AdaptationParams
    result: AdaptationResult
    seconds: float


def finished_adaptations(session: Session, base_model: str) -> list[FinishedAdaptation]:
    """Of the base model, the latest first. One that was killed and taken up again says nothing of an usual one."""
    query = (
        select(JobRow.params, JobRow.result, JobRow.device_seconds)
        .where(
            JobRow.state == JobState.SUCCEEDED,
            JobRow.kind == JobKind.ADAPTATION,
            JobRow.attempts == 1,
            JobRow.params["base_model"].as_string() == base_model,
        )
        .order_by(JobRow.created_at.desc())
        .limit(_LATEST)
    )
    return [
        FinishedAdaptation(AdaptationParams.model_validate(params), AdaptationResult.model_validate(result), seconds)
        for params, result, seconds in session.execute(query)
        if result is not None
    ]


def seconds_queued(session: Session) -> float | None:
    """What all running and waiting jobs together will still take one worker; None where nothing tells."""
    live = session.execute(select(JobRow.kind, JobRow.state, JobRow.progress).where(JobRow.state.in_(LIVE_STATES)))
    typical = {kind: _typical_seconds(session, kind) for kind in JobKind}
    total = 0.0
    for kind, state, progress in live:
        left = _left(JobState(state), progress, typical[JobKind(kind)])
        if left is None:
            return None
        total += left
    return total


def _typical_seconds(session: Session, kind: JobKind) -> float | None:
    query = select(JobRow.device_seconds).where(JobRow.state == JobState.SUCCEEDED, JobRow.kind == kind)
    taken = list(session.scalars(query.order_by(JobRow.created_at.desc()).limit(_LATEST)))
    return median(taken) if taken else None


def _left(state: JobState, progress: Mapping[str, object] | None, typical: float | None) -> float | None:
    if state is JobState.RUNNING and progress is not None:
        told = Progress.model_validate(progress)
        if told.seconds_left is not None:
            return told.seconds_left
        return typical * (1 - told.fraction) if typical is not None else None
    return typical
