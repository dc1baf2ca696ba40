"""Name servers are asked beside the threads that serve requests: one that is slow, or a client's own, stalls nobody."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from service.contracts.ids import TenantId
from service.errors import Unavailable

T = TypeVar("T")


class Lookups:
    """Questions in threads of their own, a few at once, fewer of one tenant, each answered in time or given up.

    A thread that was given up counts until its resolver returns, so that a name server that never answers takes no more
    threads than these.
    """

    def __init__(self, max_of_all: int = 16, max_of_one: int = 8, patience_seconds: float = 5.0) -> None:
        self.patience_seconds = patience_seconds
        self._max_of_all = max_of_all
        self._max_of_one = max_of_one
        self._asking: Counter[TenantId] = Counter()
        self._lock = threading.Lock()

    async def ask(self, tenant_id: TenantId, question: Callable[[], T]) -> T:
        """The answer. Raises ``TimeoutError``, ``Unavailable`` while too many are asked, and what it raises."""
        self._count(tenant_id)
        answer: Future[T] = Future()
        # A daemon, unlike an executor's threads: a resolver that hangs does not keep the process from ending.
        threading.Thread(target=self._answer, args=(tenant_id, question, answer), name="lookup", daemon=True).start()
        return await asyncio.wait_for(asyncio.wrap_future(answer), self.patience_seconds)

    def _count(self, tenant_id: TenantId) -> None:
        with self._lock:
            if self._asking[tenant_id] >= self._max_of_one or self._asking.total() >= self._max_of_all:
                raise Unavailable("too many names are being looked up", code="lookups_busy")
            self._asking[tenant_id] += 1

    def _answer(self, tenant_id: TenantId, question: Callable[[], T], answer: "Future[T]") -> None:
        try:
            if answer.set_running_or_notify_cancel():  # from then on it cannot be cancelled, and may be set
                answer.set_result(question())
        except Exception as error:  # whatever it is, it is raised where the answer is waited for
            answer.set_exception(error)
        finally:
            with self._lock:
                self._asking[tenant_id] -= 1
