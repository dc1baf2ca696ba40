"""The first page: what is under way, what there is, and how to begin."""

from dataclasses import dataclass

from sqlalchemy.orm import Session
from starlette.responses import Response

from service.api.presenting import job_views
from service.readiness import FINE
from service.store import glances, jobs
from service.store.pages import PageRequest
from service.web import lines
from service.web.visits import PageRouter, Seen, Visit, VisitOf
from service.web.work import JobCard, WorkLine, digest, job_card

router = PageRouter()

_RECENT = PageRequest(limit=6)
_MOST_UNDER_WAY = 20


@dataclass(frozen=True)
class Recent:
    """The newest of each list."""

    datasets: list[WorkLine]
    adaptations: list[WorkLine]
    generations: list[WorkLine]
    recognitions: list[WorkLine]

    @property
    def seen(self) -> str:
        """Changes with any line."""
        return digest(self)


@dataclass(frozen=True)
class Home:
    """The first page."""

    recent: Recent
    max_bytes: int

    @property
    def is_new(self) -> bool:
        """Whether nothing has been uploaded yet."""
        return not self.recent.datasets


@dataclass(frozen=True)
class UnderWay:
    """Jobs that run or wait, and what keeps them from it. ``wrong``: what is not well, and what to do."""

    jobs: list[JobCard]
    num_waiting: int
    wrong: list[tuple[str, str, str]]

    @property
    def seen(self) -> str:
        """Changes with anything in it."""
        return digest(self)


@router.page("/")
def home(visit: VisitOf) -> Response:
    """What is there and what is going on."""
    with visit.parts.database.reading() as session:
        view = Home(_recent(session, visit), visit.parts.settings.max_request_bytes)
        way = under_way(session, visit)
    return visit.page("home.html.j2", "Overview", "home", page=view, way=way)


@router.page("/recent")
def recent(visit: VisitOf, seen: Seen = ()) -> Response:
    """The newest of each list alone, for a page that is open; nothing where they are what was seen."""
    with visit.parts.database.reading() as session:
        found = _recent(session, visit)
    return visit.fragment("recent.html.j2", recent=found) if found.seen not in seen else Response(status_code=204)


@router.page("/under-way")
def now(visit: VisitOf, seen: Seen = ()) -> Response:
    """The same list alone, for a page that is open; nothing where it is what was seen."""
    with visit.parts.database.reading() as session:
        way = under_way(session, visit)
    return visit.fragment("under_way.html.j2", way=way) if way.seen not in seen else Response(status_code=204)


def _recent(session: Session, visit: Visit) -> Recent:
    read = (lines.datasets, lines.adaptations, lines.generations, lines.recognitions)
    return Recent(*(one(session, visit, _RECENT).items for one in read))


def under_way(session: Session, visit: Visit) -> UnderWay:
    """Running jobs first, then those that wait, in the order in which they will run."""
    going = [look(session, visit.tenant, _MOST_UNDER_WAY) for look in (glances.running, glances.next_queued)]
    views = job_views(session, [job for some in going for job in some], with_results=False)
    found = visit.parts.readiness.lately() if views else {}
    wrong = [(name, one.told, one.remedy or "") for name, one in found.items() if one != FINE]
    return UnderWay([job_card(job) for job in views], jobs.num_queued(session, visit.tenant), wrong)
