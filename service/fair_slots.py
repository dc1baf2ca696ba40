"""Turns at what only a few may do at once, dealt out so that no tenant waits for all of another's."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from anyio import Event

from service.contracts.ids import TenantId


@dataclass(eq=False)
class _Waiting:
    tenant_id: TenantId
    may_begin: Event = field(default_factory=Event)


class FairSlots:
    """``total`` slots, of which one tenant holds at most ``of_one``. For one event loop.

    A free slot goes to the tenant that holds fewest, of these to the one that had its last turn longest ago, and to
    its requests in the order in which they came.
    """

    def __init__(self, total: int, of_one: int) -> None:
        self._total = total
        self._of_one = of_one
        self._held: Counter[TenantId] = Counter()
        self._last_turns: dict[TenantId, int] = {}
        self._turns = count(1)
        self._waiting: list[_Waiting] = []

    @asynccontextmanager
    async def one(self, tenant_id: TenantId) -> AsyncIterator[None]:
        """Wait for a slot and hold it within the block."""
        await self._take(tenant_id)
        try:
            yield
        finally:
            self._give_back(tenant_id)

    async def _take(self, tenant_id: TenantId) -> None:
        mine = _Waiting(tenant_id)
        self._waiting.append(mine)
        self._deal()
        try:
            await mine.may_begin.wait()
        except BaseException:  # cancelled, perhaps in the moment in which its turn came
            if mine.may_begin.is_set():
                self._give_back(tenant_id)
            else:
                self._waiting.remove(mine)
            raise

    def _give_back(self, tenant_id: TenantId) -> None:
        self._held[tenant_id] -= 1
        self._held += Counter()  # forgets tenants that hold nothing
        self._deal()

    def _deal(self) -> None:
        while self._held.total() < self._total:
            able = [one for one in self._waiting if self._held[one.tenant_id] < self._of_one]
            if not able:
                return
            following = min(able, key=self._claim)
            self._waiting.remove(following)
            self._held[following.tenant_id] += 1
            self._last_turns[following.tenant_id] = next(self._turns)
            following.may_begin.set()

    def _claim(self, one: _Waiting) -> tuple[int, int]:
        return self._held[one.tenant_id], self._last_turns.get(one.tenant_id, 0)
