"""Long work for one request: done in a thread, and left as soon as nobody waits for its answer."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from threading import Event
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, create_task_group, to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

T = TypeVar("T")


async def while_wanted(
    request: Request, slot: AbstractAsyncContextManager[None], work: Callable[[Callable[[], None]], T]
) -> T:
    """What ``work`` gives, from a thread of its own within the slot. The request's body must have been read.

    When the client goes, the wait for the slot ends at once, and ``work`` when it next calls what it is given. Raises
    ``ClientDisconnect`` then, and whatever ``work`` raises.
    """
    gone = Event()

    def check() -> None:
        if gone.is_set():
            raise ClientDisconnect

    done: list[T] = []
    failed: Exception | None = None
    async with create_task_group() as group:
        group.start_soon(_watch, request, gone, group.cancel_scope)
        try:  # Not around the group, which would wrap an error into a group of errors.
            async with slot:
                done.append(await to_thread.run_sync(work, check, limiter=CapacityLimiter(1)))
        except Exception as error:
            failed = error
        group.cancel_scope.cancel()
    if failed is not None:
        raise failed
    if not done:
        raise ClientDisconnect
    return done[0]


async def _watch(request: Request, gone: Event, scope: CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()
    scope.cancel()
