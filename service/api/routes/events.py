"""Live events: a job, or all jobs of a resource, told as they change (server-sent events)."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.orm import Session

from service.api.dependencies import Parts, PartsOf, PrincipalOf, Tenant
from service.api.streams import Follower, Shown
from service.contracts.keys import Principal
from service.store import jobs
from service.store.tables import JobRow
from service.store.tombstones import missing

router = APIRouter(prefix="/v1", tags=["jobs"])

#: What a browser waits before it comes again.
_RETRY_MILLISECONDS = 2_000
_EXAMPLE = """\
retry: 2000

event: job
data: {"id":"job_5f0c...","state":"running","progress":{"stage":"lora","fraction":0.42,...},...}
id: 17-0

: ping

event: job
data: {"id":"job_5f0c...","state":"succeeded",...}
id: 41-0

"""
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `job`, each with what `GET /v1/jobs/{id}` answers; comments as heartbeats.",
        "content": {"text/event-stream": {"example": _EXAMPLE}},
    },
    204: {"description": "All is final, and `Last-Event-ID` says that the client has seen it: do not come again."},
    429: {"description": "The key has too many streams open."},
}

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=255, description="`id` of the last event seen; browsers send it."),
]


async def _follow_job(
    job_id: str,
    response: Response,
    parts: PartsOf,
    tenant: Tenant,
    principal: PrincipalOf,
    last_event_id: LastEventId = None,
) -> AsyncIterator[Follower]:
    def find(session: Session) -> Sequence[JobRow]:
        return [jobs.get(session, tenant, job_id)]

    async with _following(parts, principal, response, last_event_id, find) as follower:
        yield follower


async def _follow_resource(
    response: Response,
    parts: PartsOf,
    tenant: Tenant,
    principal: PrincipalOf,
    resource_id: Annotated[str, Query(examples=["adn_0a1b2c3d4e5f60718293a4b5c6d7e8f9"])],
    last_event_id: LastEventId = None,
) -> AsyncIterator[Follower]:
    def find(session: Session) -> Sequence[JobRow]:
        found = jobs.of_resources(session, tenant, [resource_id])
        if not found:
            raise missing(session, tenant, "resource with jobs", resource_id)
        return found

    async with _following(parts, principal, response, last_event_id, find) as follower:
        yield follower


@asynccontextmanager
async def _following(
    parts: Parts,
    principal: Principal,
    response: Response,
    seen: str | None,
    find: Callable[[Session], Sequence[JobRow]],
) -> AsyncIterator[Follower]:
    """The jobs as they are now, read once in a thread; then nothing is held but the follower. Raises what it raises."""
    who = principal.key_id or principal.tenant_id
    parts.streams.check(who)

    def read() -> list[Shown]:
        with parts.database.reading() as session:
            return [Shown.of(row, jobs.queue_position(session, row)) for row in find(session)]

    now = await to_thread.run_sync(read)
    with parts.streams.following(who, now, seen) as follower:
        if follower.has_nothing_to_come:
            response.status_code = 204
        yield follower


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse, responses=_STREAM)
async def follow_job(follower: Annotated[Follower, Depends(_follow_job)]) -> AsyncIterator[ServerSentEvent]:
    """One job as it changes: its state at once (unless `Last-Event-ID` says that it was seen), then every newer one,
    until it is final. A client that reads slowly misses states in between, never the last one. Browsers come again by
    themselves when a stream breaks off, and after the last event are told with 204 to stop."""
    async for event in _told(follower):
        yield event


@router.get(
    "/events", response_class=EventSourceResponse, responses=_STREAM | {404: {"description": "No such resource."}}
)
async def follow_resource(follower: Annotated[Follower, Depends(_follow_resource)]) -> AsyncIterator[ServerSentEvent]:
    """All jobs of an adaptation, generation, evaluation or recognition, as `GET /v1/jobs/{id}/events` tells one."""
    async for event in _told(follower):
        yield event


async def _told(follower: Follower) -> AsyncIterator[ServerSentEvent]:
    if follower.has_nothing_to_come:
        return
    yield ServerSentEvent(retry=_RETRY_MILLISECONDS)
    async for one in follower.events():
        yield ServerSentEvent(event="job", id=one.id, raw_data=one.json)
