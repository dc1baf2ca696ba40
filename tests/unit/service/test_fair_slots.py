from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from service.contracts.ids import TenantId
from service.fair_slots import FairSlots

A, B, C = TenantId("a"), TenantId("b"), TenantId("c")


class Queue:
    """Holders of slots that stay until they are told to go; ``begun`` in the order in which they had their turn."""

    def __init__(self, slots: FairSlots, group: TaskGroup) -> None:
        self._slots, self._group = slots, group
        self.begun: list[str] = []
        self._leave: dict[str, anyio.Event] = {}

    async def come(self, tenant_id: TenantId, *names: str) -> None:
        for name in names:
            self._leave[name] = anyio.Event()
            self._group.start_soon(self._hold, tenant_id, name)
            await anyio.wait_all_tasks_blocked()

    async def go(self, name: str) -> None:
        self._leave[name].set()
        await anyio.wait_all_tasks_blocked()

    async def _hold(self, tenant_id: TenantId, name: str) -> None:
        async with self._slots.one(tenant_id):
            self.begun.append(name)
            await self._leave[name].wait()


def queued(total: int, of_one: int, story: Callable[[Queue], Awaitable[None]]) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            await story(Queue(FairSlots(total, of_one), group))
            group.cancel_scope.cancel()

    anyio.run(main)


def test_a_tenant_never_holds_the_last_slot_that_is_kept_for_others() -> None:
    async def story(queue: Queue) -> None:
        await queue.come(A, "a1", "a2", "a3")
        assert queue.begun == ["a1"]
        await queue.come(B, "b1")
        assert queue.begun == ["a1", "b1"]

    queued(2, 1, story)


def test_turns_go_round_whoever_came_with_how_many() -> None:
    async def story(queue: Queue) -> None:
        await queue.come(A, "a1", "a2", "a3")
        await queue.come(B, "b1", "b2")
        await queue.come(C, "c1")
        for name in ("a1", "b1", "c1", "a2", "b2"):
            await queue.go(name)
        assert queue.begun == ["a1", "b1", "c1", "a2", "b2", "a3"]

    queued(1, 1, story)


def test_who_goes_while_it_waits_takes_no_turn() -> None:
    async def story(queue: Queue) -> None:
        slots = FairSlots(1, 1)
        async with slots.one(A):
            with anyio.move_on_after(0.01):
                async with slots.one(B):
                    raise AssertionError("the slot was held")
        with anyio.fail_after(1):
            async with slots.one(C):
                pass

    queued(1, 1, story)
