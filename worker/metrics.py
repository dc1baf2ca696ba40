"""What workers and maintenance measure of themselves, and where it is counted.

A worker's work is done in its pool process, which is replaced when it dies; counts kept there would die with it. So the
pool process only tells: each observation is a line in a pipe that was made before the fork. The parent, which touches
no torch, reads the pipe, keeps the counts and answers scrapes. What a killed process had told is still in the pipe, and
no file is left behind.
"""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, start_http_server

from service.contracts.jobs import JobKind
from service.logs import get_logger

_log = get_logger()
disable_created_metrics()  # type: ignore[no-untyped-call]  # They double the lines, and nobody asks for them.


class What(StrEnum):
    """Everything that can be observed, by the name that Prometheus sees."""

    ATTEMPT = "defectsynth_job_attempt_seconds"
    WAIT = "defectsynth_job_wait_seconds"
    FAILURE = "defectsynth_job_failures_total"
    STEP = "defectsynth_step_seconds"
    ACCEPTED = "defectsynth_images_accepted_total"
    REJECTED = "defectsynth_images_rejected_total"
    SWAP = "defectsynth_adapter_swap_seconds"
    LOAD = "defectsynth_base_model_load_seconds"
    RESIDENT = "defectsynth_worker_resident"
    MEMORY = "defectsynth_worker_memory_bytes"
    DEVICE_MEMORY = "defectsynth_worker_device_memory_bytes"
    PROCESS = "defectsynth_worker_processes_begun_total"
    SWEEP = "defectsynth_sweeps_total"
    SWEPT_AT = "defectsynth_last_sweep_timestamp_seconds"
    SWEPT_JOB = "defectsynth_swept_jobs_total"
    WAKEUP = "defectsynth_resent_wakeups_total"
    ORPHAN = "defectsynth_orphans_removed_total"


class Observe(Protocol):
    """Tells one observation; never raises and never waits."""

    def __call__(self, what: What, value: float, *labels: str) -> None:
        """``labels``: values in the order of the metric's labels."""
        ...


def unobserved(what: What, value: float, *labels: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Kind:
    """How a metric is counted. ``labels``: each with the values that exist from the start; the rest come as they do."""

    type: type[Counter] | type[Gauge] | type[Histogram]
    help: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    buckets: Sequence[float] = ()


_LONG: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0)
_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: `worker.lifecycle.Ending` and `models.evaluation.gates.RejectReason`, which this module may not import: it lives in
#: the parent, without torch. A test compares them.
ENDINGS: Final = ("succeeded", "failed", "canceled", "released", "forfeited")
REASONS: Final = ("copy", "wrong_class", "outlier", "not_finite")
#: Stages whose reports are single steps.
STEPS: Final = ("textual_inversion", "lora", "denoising")

OF_WORKER: Final[Mapping[What, Kind]] = {
    What.ATTEMPT: Kind(
        Histogram, "Seconds of an attempt at a job, by how it ended.", {"kind": list(JobKind), "ending": ENDINGS}, _LONG
    ),
    What.WAIT: Kind(Histogram, "Seconds from a job's submission to its first claim.", {"kind": list(JobKind)}, _LONG),
    What.FAILURE: Kind(Counter, "Jobs that failed, by the code that clients read.", {"kind": (), "code": ()}),
    What.STEP: Kind(Histogram, "Seconds of a training step or a denoising step.", {"stage": STEPS}, _SHORT),
    What.ACCEPTED: Kind(Counter, "Synthetic images that passed the gates."),
    What.REJECTED: Kind(Counter, "Synthetic images that did not, by the gate that said so.", {"reason": REASONS}),
    What.SWAP: Kind(Histogram, "Seconds to bring an adapter's matrices to the base model's device.", buckets=_SHORT),
    What.LOAD: Kind(Histogram, "Seconds to load a base model.", buckets=_LONG),
    What.RESIDENT: Kind(Gauge, "Models kept in memory between jobs.", {"what": ("base_model", "adapter", "extractor")}),
    What.MEMORY: Kind(Gauge, "Memory of the process that works."),
    What.DEVICE_MEMORY: Kind(Gauge, "GPU memory that the process that works has reserved; 0 on a CPU."),
    What.PROCESS: Kind(Counter, "Processes begun to work: the first, and one for each that died."),
}
OF_MAINTENANCE: Final[Mapping[What, Kind]] = {
    What.SWEEP: Kind(Counter, "Sweeps, and whether they could be made.", {"outcome": ("done", "failed")}),
    What.SWEPT_AT: Kind(Gauge, "When the last sweep was made."),
    What.SWEPT_JOB: Kind(
        Counter, "Jobs of lost workers, by what became of them.", {"outcome": ("requeued", "failed", "canceled")}
    ),
    What.WAKEUP: Kind(Counter, "Wake-ups sent for jobs that waited unannounced.", {"outcome": ("sent", "failed")}),
    What.ORPHAN: Kind(Counter, "Stored files removed because no row names them."),
}


class Metrics:
    """One process's counts, in a registry of their own. An `Observe`."""

    def __init__(self, kinds: Mapping[What, Kind]) -> None:
        self.registry = CollectorRegistry()
        self._metrics = {what: _made(what, kind, self.registry) for what, kind in kinds.items()}

    def __call__(self, what: What, value: float, *labels: str) -> None:
        """Count it."""
        metric = self._metrics[what]
        one = metric.labels(*labels) if labels else metric
        if isinstance(one, Histogram):
            one.observe(value)
        elif isinstance(one, Gauge):
            one.set(value)
        else:
            one.inc(value)

    def serve(self, host: str, port: int) -> None:
        """Answer scrapes from a thread. A port that is taken is logged: work matters more than its figures."""
        try:
            start_http_server(port, host, self.registry)
        except OSError as error:
            _log.error("metrics.unserved", host=host, port=port, error=str(error))
            return
        _log.info("metrics.served", host=host, port=port)


def _made(what: What, kind: Kind, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    metric: Counter | Gauge | Histogram
    if kind.type is Histogram:
        metric = Histogram(what, kind.help, list(kind.labels), buckets=kind.buckets, registry=registry)
    else:
        metric = kind.type(what, kind.help, list(kind.labels), registry=registry)
    combinations: list[tuple[str, ...]] = [()]
    for values in kind.labels.values():
        combinations = [(*before, value) for before in combinations for value in values]
    for labels in combinations if kind.labels else ():
        metric.labels(*labels)  # From the start at 0, or the first event of each kind would be no increase.
    return metric


class Pipe:
    """Carries observations from a pool process to its parent. Made before the fork; an `Observe` in the child."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def __call__(self, what: What, value: float, *labels: str) -> None:
        """Lines this short are written whole. One that finds the pipe full is lost: no job waits for its figures."""
        try:
            os.write(self._writing, json.dumps([what, value, *labels]).encode() + b"\n")
        except OSError as error:
            _log.debug("metrics.unsent", error=str(error))

    def follow(self, metrics: Metrics) -> None:
        """In the parent: count what comes, from a thread."""
        threading.Thread(target=self._follow, args=(metrics,), name="metrics", daemon=True).start()

    def _follow(self, metrics: Metrics) -> None:
        with os.fdopen(self._reading, "rb") as lines:
            for line in lines:
                name, value, *labels = json.loads(line)
                metrics(What(name), value, *labels)
