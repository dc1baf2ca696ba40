"""What questions to the record cost beside so many stored jobs, of which so many wait: a child of `scale.py`.

python tests/benchmarks/scale_jobs.py JOBS WAITING DATABASE_URL FIGURES.json TIMES
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scale_record import NOW, fill
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from service.api.presenting import job_views
from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobKind, JobState
from service.logs import configure_logs
from service.main import create_app
from service.settings import Settings
from service.store import backlog, glances, jobs, leases, sweep
from service.store.database import Database
from service.store.jobs import JobFilter
from service.store.pages import PageRequest

_PAGES = 10
_ANY = JobFilter()

Question = Callable[[Session], object]


class _Undone(Exception):
    """Ends a transaction, so that the next question finds the record as this one did."""


def questions(database: Database) -> dict[str, Question]:
    """What clients, workers and maintenance ask all the time."""
    with database.reading() as session:
        ended, waiting = (
            row.id
            for state in (JobState.SUCCEEDED, JobState.QUEUED)
            for row in jobs.page(session, DEFAULT_TENANT, JobFilter(state=state), PageRequest(limit=1)).items
        )
        page = PageRequest()
        for _ in range(_PAGES - 1):
            found = jobs.page(session, DEFAULT_TENANT, _ANY, page)
            page = PageRequest(found.next_cursor) if found.next_cursor else page
    return {
        "poll of a job that is over": lambda session: _poll(session, ended),
        "poll of a job that waits": lambda session: _poll(session, waiting),
        "newest jobs": lambda session: _listed(session, _ANY),
        "newest jobs, page 10": lambda session: _listed(session, _ANY, page),
        "newest failed jobs": lambda session: _listed(session, JobFilter(state=JobState.FAILED)),
        "running jobs": lambda session: _listed(session, JobFilter(state=JobState.RUNNING)),
        "newest recognition jobs": lambda session: _listed(session, JobFilter(kind=JobKind.RECOGNITION)),
        "newest jobs of a class never seen": lambda session: _listed(session, JobFilter(class_name="rust")),
        "queue page": _queue,
        "claim": _claim,
        "sweep": _sweep,
        "counts for a scrape": backlog.backlog,
    }


def _poll(session: Session, job_id: str) -> object:
    return jobs.queue_position(session, jobs.get(session, DEFAULT_TENANT, job_id))


def _listed(session: Session, which: JobFilter, page: PageRequest = PageRequest()) -> object:  # noqa: B008
    found = jobs.page(session, DEFAULT_TENANT, which, page)
    return job_views(session, found.items, with_results=False)


def _queue(session: Session) -> object:
    looks = (glances.running, glances.next_queued, glances.ended_lately)
    shown = [job_views(session, look(session, DEFAULT_TENANT, 200), with_results=False) for look in looks]
    return shown, jobs.num_queued(session, DEFAULT_TENANT)


def _claim(session: Session) -> object:
    taken = leases.claim(
        session, worker_id="w", kinds=list(JobKind), resident_adapter_id=None, now=NOW, lease_seconds=60.0
    )
    assert taken is not None
    return taken


def _sweep(session: Session) -> object:
    return sweep.sweep(session, now=NOW, max_attempts=3, resend_after_seconds=30.0)


def median_seconds(ask: Callable[[], object], times: int) -> float:
    """Of so many, after one that fills caches."""
    taken = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[1:])


def measured(database: Database, times: int) -> dict[str, float]:
    """Median seconds by question; each in a transaction of its own, which is then undone."""

    def asked(question: Question) -> None:
        try:
            with database.transaction() as session:
                question(session)
                raise _Undone
        except _Undone:
            pass

    return {what: median_seconds(lambda one=one: asked(one), times) for what, one in questions(database).items()}


def home_page(url: str, times: int) -> float:
    """Median seconds of a whole answer, of which its rendering is a part."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_dir=Path(folder), database_url=url))
        with TestClient(app, base_url="http://127.0.0.1") as client:
            assert client.get("/").status_code == 200
            return median_seconds(lambda: client.get("/"), times)


def main() -> None:
    """Fill the record, ask, write the figures."""
    num_jobs, num_queued, url = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    figures, times = Path(sys.argv[4]), int(sys.argv[5])
    configure_logs("error")
    database = Database(url)
    database.migrate()
    begun = time.perf_counter()
    fill(database, num_jobs, num_queued)
    print(f"{num_jobs:,} jobs written in {time.perf_counter() - begun:.0f} s", flush=True)
    seconds = measured(database, times) | {"home page": home_page(url, times)}
    database.close()
    figures.write_text(json.dumps(seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
