"""Images on their way to the store: what a disk or a bucket has one wait for passes while the next are decoded."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from service.store.artifacts import StoredArtifact

_THREADS: Final = 4
_MAX_WAITING: Final = 16
#: What an upload may hold in memory besides the picture that it decodes; a larger file is waited for.
_MAX_WAITING_BYTES: Final = 2**23


class Storing:
    """Puts bytes from threads of its own. The block ends when none is being put, after an error without the rest."""

    def __init__(self, put: Callable[[bytes], StoredArtifact]) -> None:
        self._put = put
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="storing")
        self._waiting: deque[tuple[int, Future[StoredArtifact]]] = deque()
        self._num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=kind is not None)

    def put(self, data: bytes) -> Future[StoredArtifact]:
        """Put it soon; wait for earlier ones while there are too many. Raises what one of these raised."""
        stored = self._threads.submit(self._put, data)
        self._waiting.append((len(data), stored))
        self._num_bytes += len(data)
        while len(self._waiting) > _MAX_WAITING or self._num_bytes > _MAX_WAITING_BYTES:
            num_bytes, oldest = self._waiting.popleft()
            oldest.result()
            self._num_bytes -= num_bytes
        return stored
