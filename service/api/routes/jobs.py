"""Jobs: state, progress and cancellation. Polling is cheap: a light read, and 304 while nothing changed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.dependencies import PageOf, PartsOf, Tenant
from service.api.job_views import job_view
from service.api.presenting import job_views
from service.api.responses import is_fresh, view_response
from service.api.views import JobView, PageView
from service.contracts.datasets import ClassName
from service.contracts.jobs import JobKind, JobState
from service.store import jobs
from service.store.jobs import JobFilter
from service.store.tombstones import missing

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_POLL_SECONDS = {JobState.QUEUED: "2", JobState.RUNNING: "1"}


@router.get("")
def list_jobs(
    parts: PartsOf,
    tenant: Tenant,
    page: PageOf,
    kind: JobKind | None = None,
    state: JobState | None = None,
    resource_id: str | None = None,
    class_name: Annotated[ClassName | None, Query()] = None,
) -> PageView[JobView]:
    """Jobs, newest first."""
    with parts.database.reading() as session:
        found = jobs.page(session, tenant, JobFilter(kind, state, resource_id, class_name), page)
        views = job_views(session, found.items)
    return PageView(items=views, next_cursor=found.next_cursor)


@router.get("/{job_id}", response_model=JobView, responses={304: {"description": "Nothing changed."}})
def get_job(job_id: str, request: Request, parts: PartsOf, tenant: Tenant) -> Response:
    """One job. The ETag follows what happened to it, not the estimate of seconds left."""
    with parts.database.asking() as connection:
        job = jobs.polled(connection, tenant, job_id)
    if job is None:
        with parts.database.reading() as session:
            raise missing(session, tenant, "job", job_id)
    headers = {"ETag": f'"{job.revision}-{job.queue_position or 0}"', "Cache-Control": "private, no-cache"}
    state = JobState(job.state)
    if state in _POLL_SECONDS:
        headers["Retry-After"] = _POLL_SECONDS[state]
    if is_fresh(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return view_response(job_view(job, job.queue_position), headers)


@router.post("/{job_id}/cancel")
def cancel_job(job_id: str, parts: PartsOf, tenant: Tenant) -> JobView:
    """Cancel a queued job at once, ask a running one to stop; a final job stays as it is. Asking again is harmless."""
    row = parts.submission.cancel(tenant, job_id)
    with parts.database.reading() as session:
        return job_view(row, jobs.queue_position(session, row))
