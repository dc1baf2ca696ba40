"""What the API measures of itself, and what it tells of the record when it is scraped.

One registry an application, nothing global. Labels are bounded: routes by their template, methods, statuses and codes
by the code's own lists; nothing that a client chooses and nothing of a tenant.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.bounded import Bounded
from service.contracts.datasets import RefusedImage
from service.contracts.jobs import JobKind, JobState
from service.logs import get_logger
from service.readiness import WORKER_SEEN_WITHIN
from service.store import backlog, workers
from service.store.backlog import Backlog
from service.store.database import Database
from service.store.workers import SeenWorker

_log = get_logger()
disable_created_metrics()  # type: ignore[no-untyped-call]  # They double the lines, and nobody asks for them.
#: Scrapes that come sooner than this after one another share what the record told.
FRESH_SECONDS: Final = 2.0
#: A record that does not answer in this time counts as down; the rest of the scrape is answered.
LIMIT_SECONDS: Final = 3.0
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ApiMetrics:
    """The API process's metrics. ``ask`` reads the record, see `read_record`."""

    def __init__(self, ask: "Callable[[], Record]", data_dir: Path) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "defectsynth_http_requests_total",
            "Requests answered, by route template; (other) is what no route takes.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "defectsynth_http_request_seconds",
            "Seconds until the answer began.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.requests_in_flight = Gauge(
            "defectsynth_http_requests_in_flight", "Requests being answered.", registry=self.registry
        )
        self.event_streams = Gauge(
            "defectsynth_event_streams", "Streams of live events that are open.", registry=self.registry
        )
        self._uploaded = Counter(
            "defectsynth_uploaded_images_total",
            "Images sent: accepted, or the code of why not.",
            ["outcome"],
            registry=self.registry,
        )
        Info("defectsynth_build", "The running version.", registry=self.registry).info(
            {"version": version("defectsynth")}
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(RecordCollector(ask, data_dir))

    def uploaded(self, num_accepted: int, refused: Sequence[RefusedImage]) -> None:
        """Count the images of one upload."""
        self._uploaded.labels("accepted").inc(num_accepted)
        for one in refused:
            self._uploaded.labels(one.code).inc()

    def text(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that ``accept`` asks for (Prometheus or OpenMetrics), and its media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


@dataclass(frozen=True)
class Record:
    """What the database says about jobs and workers ``at`` a moment."""

    at: datetime
    backlog: Backlog
    workers: Sequence[SeenWorker]
    num_expired_leases: int


def read_record(database: Database, clock: Callable[[], datetime]) -> Callable[[], Record]:
    """Reads it, by queries that indexes answer."""

    def read() -> Record:
        now = clock()
        with database.reading() as session:
            return Record(
                now,
                backlog.backlog(session),
                workers.seen(session, now, WORKER_SEEN_WITHIN),
                backlog.num_expired_leases(session, now),
            )

    return read


class RecordCollector(Collector):
    """Gauges of the record, read when they are scraped. One that is down is told as such and hides no other metric."""

    def __init__(self, ask: Callable[[], Record], data_dir: Path) -> None:
        self._ask = Bounded(ask)
        self._data_dir = data_dir
        self._lock = Lock()
        self._kept: tuple[float, Record | None] | None = None

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, with none of the record's where it is down."""
        record = self._record()
        up = record is not None
        yield GaugeMetricFamily("defectsynth_database_up", "Whether the database answered.", value=float(up))
        yield from _storage(self._data_dir)
        if record is not None:
            yield from _jobs(record)
            yield from _workers(record.workers)

    def _record(self) -> Record | None:
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > FRESH_SECONDS:
                self._kept = (time.monotonic(), self._asked())
            return self._kept[1]

    def _asked(self) -> Record | None:
        try:
            return self._ask.begin().result(LIMIT_SECONDS)
        except Exception as error:  # Every driver has its own errors, and a scrape must tell the rest.
            _log.warning("metrics.record_unread", error=str(error) or type(error).__name__)
            return None


def _jobs(record: Record) -> Iterator[Metric]:
    found = record.backlog
    jobs = GaugeMetricFamily("defectsynth_jobs", "Jobs in the record.", labels=["state", "kind"])
    oldest = GaugeMetricFamily(
        "defectsynth_oldest_queued_job_seconds",
        "How long the oldest queued job has existed; 0 where none is queued.",
        labels=["kind"],
    )
    for kind in JobKind:
        for state in JobState:
            jobs.add_metric([state, kind], found.counts.get((state, kind), 0))
        queued_at = found.oldest_queued_at.get(kind, record.at)
        oldest.add_metric([kind], max(0.0, (record.at - queued_at).total_seconds()))
    yield jobs
    yield oldest
    yield GaugeMetricFamily(
        "defectsynth_expired_leases",
        "Running jobs whose worker no longer renews its lease and that the sweep has not given back yet.",
        value=record.num_expired_leases,
    )


def _workers(seen: Sequence[SeenWorker]) -> Iterator[Metric]:
    workers_seen = GaugeMetricFamily("defectsynth_workers", "Workers that reported lately.", labels=["state"])
    num_busy = sum(worker.is_busy for worker in seen)
    workers_seen.add_metric(["busy"], num_busy)
    workers_seen.add_metric(["idle"], len(seen) - num_busy)
    yield workers_seen
    looked = [worker.looked_at.timestamp() for worker in seen if worker.looked_at is not None]
    yield GaugeMetricFamily(
        "defectsynth_last_look_for_work_timestamp_seconds",
        "When a worker last took a wake-up or a further job; 0 where none has since it started.",
        value=max(looked, default=0.0),
    )
    held = {worker.resident_adapter_id for worker in seen} - {None}
    yield GaugeMetricFamily(
        "defectsynth_resident_adapters", "Different adapters that workers compute with now.", value=len(held)
    )


def _storage(data_dir: Path) -> Iterator[Metric]:
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError as error:
        _log.warning("metrics.disk_unread", error=str(error))
        return
    yield GaugeMetricFamily(
        "defectsynth_data_dir_free_bytes", "Free on the disk of DEFECTSYNTH_DATA_DIR.", value=usage.free
    )
    yield GaugeMetricFamily(
        "defectsynth_data_dir_size_bytes", "Size of the disk of DEFECTSYNTH_DATA_DIR.", value=usage.total
    )
