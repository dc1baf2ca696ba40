"""The queue and who works on it; and stopping a job, wherever it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session
from starlette.responses import Response

from service.api.presenting import job_views
from service.api.worker_views import WorkerView, worker_views
from service.readiness import FINE, WORKER_SEEN_WITHIN
from service.store import glances, jobs, workers
from service.store.tables import JobRow
from service.web.visits import PageRouter, Seen, Visit, VisitOf
from service.web.work import KIND_NAMES, JobCard, ago, digest, job_card

router = PageRouter()
_MOST = 200
_MOST_ENDED = 12


@dataclass(frozen=True)
class WorkerShown:
    """One worker, as far as it may be told."""

    id: str
    device: str
    doing: str
    seen: str


@dataclass(frozen=True)
class Queue:
    """What runs, what waits, what has ended lately, and who works. ``checks``: name, what is told, what to do."""

    running: Sequence[JobCard]
    waiting: Sequence[JobCard]
    num_waiting: int
    ended: Sequence[JobCard]
    workers: Sequence[WorkerShown]
    checks: Sequence[tuple[str, str, str]]

    @property
    def seen(self) -> str:
        """Changes with anything in it."""
        return digest(self)


@router.page("/queue")
def show(visit: VisitOf) -> Response:
    """The queue as it is now."""
    return visit.page("queue.html.j2", "Queue and workers", "queue", page=_queue(visit))


@router.page("/queue/live")
def live(visit: VisitOf, seen: Seen = ()) -> Response:
    """The same, for a page that is open; nothing where it is what was seen."""
    page = _queue(visit)
    return visit.fragment("queue_part.html.j2", page=page) if page.seen not in seen else Response(status_code=204)


@router.action("/jobs/{job_id}/cancel")
def cancel(job_id: str, visit: VisitOf) -> Response:
    """Stop a job; what shows it looks again by itself."""
    visit.parts.submission.cancel(visit.tenant, job_id)
    return Response(status_code=204) if visit.is_fragment else visit.go_to("/queue")


def _queue(visit: Visit) -> Queue:
    with visit.parts.database.reading() as session:
        seen = workers.rows(session, visit.now, WORKER_SEEN_WITHIN)
        return Queue(
            running=_cards(session, glances.running(session, visit.tenant, _MOST)),
            waiting=_cards(session, glances.next_queued(session, visit.tenant, _MOST)),
            num_waiting=jobs.num_queued(session, visit.tenant),
            ended=_cards(session, glances.ended_lately(session, visit.tenant, _MOST_ENDED)),
            workers=[_worker(one, visit) for one in worker_views(session, visit.tenant, seen)],
            checks=_checks(visit),
        )


def _cards(session: Session, rows: Sequence[JobRow]) -> list[JobCard]:
    return [job_card(one) for one in job_views(session, rows, with_results=False)]


def _worker(worker: WorkerView, visit: Visit) -> WorkerShown:
    return WorkerShown(worker.id, worker.device, _doing(worker), ago(worker.seen_at, visit.now))


def _doing(worker: WorkerView) -> str:
    if worker.job is not None:
        return f"{KIND_NAMES[worker.job.kind].lower()} of {worker.job.class_name}"
    return "busy for another tenant" if worker.is_busy else "free"


def _checks(visit: Visit) -> list[tuple[str, str, str]]:
    found = visit.parts.readiness.lately()
    return [(name, one.told, one.remedy or "") for name, one in found.items() if one != FINE]
