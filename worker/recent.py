"""Values that are made once and kept for later jobs, as long as there is room."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Values by key; the least recently used go once all take more than ``max_bytes``. Not for several threads."""

    def __init__(self, max_bytes: int, bytes_of: Callable[[V], int]) -> None:
        self._max_bytes = max_bytes
        self._bytes_of = bytes_of
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._num_bytes = 0

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of ``key``, made where it is not there; one too large to be kept is made every time."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        made = make()
        if self._bytes_of(made) <= self._max_bytes:
            self._values[key] = made
            self._num_bytes += self._bytes_of(made)
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= self._bytes_of(self._values.popitem(last=False)[1])
        return made
