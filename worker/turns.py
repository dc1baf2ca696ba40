"""Several jobs in one process, of which one computes at a time."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Threads that wait in line, first come, first served: what the one whose turn it is touches needs no other lock.

    On two cores or one GPU nothing is gained by computing side by side, and models, caches and torch's own thread pool
    would each need care.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: deque[threading.Event] = deque()
        self._taken = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn, and have it until the block ends."""
        with self._lock:
            mine = self._in_line() if self._taken else None
            self._taken = True
        if mine is not None:
            mine.wait()
        try:
            yield
        finally:
            with self._lock:
                self._taken = bool(self._line)
                if self._line:
                    self._line.popleft().set()

    def pass_on(self) -> None:
        """Let everybody who waits go first. Only for whose turn it is."""
        with self._lock:
            if not self._line:
                return
            mine = self._in_line()
            self._line.popleft().set()
        mine.wait()

    def _in_line(self) -> threading.Event:
        mine = threading.Event()
        self._line.append(mine)
        return mine
