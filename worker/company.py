"""Generations run together: a job that the worker has taken up, and what waits for the same base model beside it.

Each has a thread, a lease, a heartbeat and an end of its own, so what is true of one job alone stays true of each. They
take turns (`worker.turns`), and meet in the U-Net's calls (`models.generation.sharing`).
"""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta

from service.contracts.jobs import JobKind
from service.store.leases import ClaimedJob

#: How often it is looked for company. Whatever has waited for less is left to other workers, who may be idle.
LOOK_SECONDS = 0.5
LEFT_TO_OTHERS = timedelta(seconds=1.0)


class Company:
    """``run`` runs a job to its end; ``claim_beside`` takes up what may be run beside a job, or nothing."""

    def __init__(
        self, run: Callable[[ClaimedJob], None], claim_beside: Callable[[ClaimedJob], ClaimedJob | None],
        max_jobs: int, stopping: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._run = run
        self._claim_beside = claim_beside
        self._max_jobs = max_jobs
        self._stopping = stopping

    def suits(self, job: ClaimedJob) -> bool:
        """Whether ``job`` may have company.

        One that was lost before may be why its worker died, and shall not take others with it again.
        """
        return self._max_jobs > 1 and job.kind is JobKind.GENERATION and job.attempts == 1

    def run(self, first: ClaimedJob) -> int:
        """Run it, and others beside it until all are at their ends; how many were run."""
        count = 1
        with ThreadPoolExecutor(self._max_jobs, thread_name_prefix="generation") as threads:
            running: set[Future[None]] = {threads.submit(self._run, first)}
            while running:
                beside = self._beside(first) if len(running) < self._max_jobs else None
                if beside is not None:
                    running.add(threads.submit(self._run, beside))
                    count += 1
                    continue
                done, running = wait(running, LOOK_SECONDS, FIRST_COMPLETED)
                for future in done:
                    future.result()
        return count

    def _beside(self, first: ClaimedJob) -> ClaimedJob | None:
        return None if self._stopping() else self._claim_beside(first)
