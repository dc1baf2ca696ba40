"""Questions to what may hang: a broker behind a dead link, a database that locks, a network folder."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """Asks in a thread of its own, once at a time: who asks meanwhile waits for the same answer.

    So a question that never returns costs one thread, however often it is asked, and none of those that serve requests.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asked: Future[T] | None = None

    def begin(self) -> "Future[T]":
        """The answer to come; ``result(timeout)`` raises ``TimeoutError``, or what the question raised."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                run = contextvars.copy_context().run
                # A daemon, unlike an executor's threads: a hung one does not keep the process from ending.
                threading.Thread(target=run, args=(self._answer, self._asked), name="bounded", daemon=True).start()
            return self._asked

    def _answer(self, asked: "Future[T]") -> None:
        try:
            asked.set_result(self._ask())
        except Exception as error:  # whatever it is, it is raised where the answer is waited for
            asked.set_exception(error)
