"""One working process, the child of a Celery worker: its composition root, and the loop that claims and runs.

Torch is imported here and nowhere above, so that the parent stays small and CUDA is first touched after the fork.
"""

import os
import signal
from collections.abc import Callable, Mapping
from datetime import datetime

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from models.generation.sharing import SharedDenoiser
from service.contracts.ids import JobId
from service.contracts.jobs import JobKind
from service.errors import StorageFull
from service.logs import get_logger
from service.registry import load_registry
from service.settings import Settings
from service.store import leases
from service.store.company import Beside
from service.store.database import Database
from service.store.leases import ClaimedJob
from service.store.placement import artifact_store
from worker.bounds import NO_BOUNDS, Bounds, resident_bytes
from worker.company import LEFT_TO_OTHERS, Company
from worker.cores import usable_cores
from worker.credentials import signing
from worker.failures import is_storage_full
from worker.feature_cache import FeatureCache
from worker.footprint import device_name
from worker.jobs import adaptation, evaluation, generation, recognition
from worker.lifecycle import RECORD_AWAY, Attempt, Finished, LeaseTimes, Lifecycle, utc_now
from worker.metrics import Observe, unobserved
from worker.presence import Doing
from worker.residents import Residents
from worker.settings import WorkerSettings
from worker.turns import Turns
from worker.workshop import Workshop

_log = get_logger()
#: Of a shared U-Net call; a batch of one job may have more.
MAX_ROWS = 24

JOBS: Mapping[JobKind, Callable[[Attempt, Workshop], Finished]] = {
    JobKind.ADAPTATION: adaptation.run,
    JobKind.GENERATION: generation.run,
    JobKind.EVALUATION: evaluation.run,
    JobKind.RECOGNITION: recognition.run,
}


class WorkingProcess:
    """Claims the best runnable job, runs it, and goes on until nothing is left or the worker is to stop."""

    def __init__(
        self, database: Database, workshop: Workshop, lifecycle: Lifecycle, *, worker_id: str, lease_seconds: float,
        stopping: Callable[[], bool], bounds: Bounds = NO_BOUNDS, replace: Callable[[], None] = lambda: None,
        turns: Turns | None = None, max_shared_generations: int = 1,
    ) -> None:  # fmt: skip
        self._database = database
        self._workshop = workshop
        self._lifecycle = lifecycle
        self._worker_id = worker_id
        self._lease_seconds = lease_seconds
        self._stopping = stopping
        self._bounds = bounds
        self._replace = replace
        self._turns = turns or Turns()
        self._company = Company(self._run, self._claim_beside, max_shared_generations, stopping)
        self._job_ids: list[JobId] = []
        self._looked_at: datetime | None = None

    @property
    def doing(self) -> Doing:
        """What the process's row says."""
        residents, on_gpu = self._workshop.residents, torch.cuda.is_initialized()
        return Doing(
            next(iter(self._job_ids), None),
            residents.adapter_id,
            self._looked_at,
            device_memory_bytes=torch.cuda.memory_reserved() if on_gpu else 0,
            device=device_name(residents.device),
            device_memory_limit_bytes=torch.cuda.get_device_properties().total_memory if on_gpu else None,
        )

    def work_off(self) -> int:
        """Run jobs until there is none to claim; how many were run."""
        count = 0
        while not self._stopping():
            job = self._claim()
            if job is None:
                break
            if self._company.suits(job):
                count += self._company.run(job)
            else:
                self._run(job)
                count += 1
            if self._bounds.is_memory_exceeded():  # What a process took it hardly gives back.
                _log.warning("worker.memory_exceeded", resident_bytes=resident_bytes())
                self._replace()
        return count

    def _claim(self, beside: Beside | None = None) -> ClaimedJob | None:
        self._looked_at = utc_now()
        with self._database.transaction() as session:
            return leases.claim(
                session,
                worker_id=self._worker_id,
                kinds=list(JOBS),
                resident_adapter_id=self._workshop.residents.adapter_id if beside is None else None,
                now=utc_now(),
                lease_seconds=self._lease_seconds,
                beside=beside,
            )

    def _claim_beside(self, job: ClaimedJob) -> ClaimedJob | None:
        """What may be run beside it now; nothing more in a process that is to be replaced.

        A record that is away for a moment ends nothing that runs.
        """
        if job.adapter_id is None or self._bounds.is_memory_exceeded():
            return None
        try:
            return self._claim(Beside(job.adapter_id, utc_now() - LEFT_TO_OTHERS))
        except RECORD_AWAY as error:
            _log.warning("worker.claim_failed", error=str(error))
            return None

    def _run(self, job: ClaimedJob) -> None:
        self._job_ids.append(job.id)
        try:
            ending = self._lifecycle.run(job, self._work)
        finally:
            self._job_ids.remove(job.id)
        if ending.is_final:
            self._workshop.workspace(job).remove()

    def _work(self, attempt: Attempt) -> Finished:
        """A full disk is given back what the job wrote, or there might be no room to record how it ended."""
        try:
            with self._turns.turn():
                return JOBS[attempt.job.kind](attempt, self._workshop)
        except (OSError, StorageFull) as error:
            if is_storage_full(error):
                self._workshop.workspace(attempt.job).discard()
            raise


def compose(
    settings: Settings, database: Database, *, worker_id: str, stopping: Callable[[], bool],
    observe: Observe = unobserved,
) -> WorkingProcess:  # fmt: skip
    """Everything a working process needs, from its settings."""
    own = WorkerSettings()
    transformers_logging.disable_progress_bar()
    diffusers_logging.disable_progress_bar()
    torch.set_num_threads(settings.torch_threads or min(torch.get_num_threads(), usable_cores()))
    artifacts, registry = artifact_store(settings), load_registry(settings)
    residents = Residents(
        registry.base_models,
        artifacts,
        device=settings.device,
        extractors=registry.extractors,
        extractor=settings.extractor,
        max_base_models=own.max_base_models,
        max_adapters=own.max_adapters,
        observe=observe,
    )
    times = LeaseTimes(settings.lease_seconds, settings.heartbeat_seconds, own.stall_seconds, own.progress_seconds)
    turns = Turns()
    bounds = Bounds(own.max_job_seconds, own.max_resident_bytes)
    return WorkingProcess(
        database,
        Workshop(
            database,
            artifacts,
            residents,
            FeatureCache(artifacts),
            settings.data_dir.resolve() / "work",
            own.checkpoint_seconds,
            registry.classifiers,
            observe,
            signing(own),
            SharedDenoiser(max_rows=MAX_ROWS, pass_on=turns.pass_on),
        ),
        Lifecycle(database, times, stopping=stopping, on_stall=end_this_process, bounds=bounds, observe=observe),
        worker_id=worker_id,
        lease_seconds=settings.lease_seconds,
        stopping=stopping,
        bounds=bounds,
        replace=end_this_process,
        turns=turns,
        max_shared_generations=own.max_shared_generations,
    )


def end_this_process() -> None:
    """Where a job hangs, or memory is not given back: the process ends, and Celery starts a new one."""
    os.kill(os.getpid(), signal.SIGKILL)
