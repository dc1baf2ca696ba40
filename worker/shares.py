"""How much of a device each of the jobs that run together has taken."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Shares:
    """While n jobs run, each takes an n-th of the time: together they take what the device was busy for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._num_jobs = 0
        self._each, self._at = 0.0, clock()

    @contextmanager
    def one(self) -> Iterator[Callable[[], float]]:
        """Count one job until the block ends; gives what tells the seconds that it has taken."""
        begun = self._change(1)
        try:
            yield lambda: self._change(0) - begun
        finally:
            self._change(-1)

    def _change(self, more: int) -> float:
        """Seconds that a job would have taken that had been there all the time."""
        with self._lock:
            now = self._clock()
            self._each += (now - self._at) / max(self._num_jobs, 1)
            self._at = now
            self._num_jobs += more
            return self._each
