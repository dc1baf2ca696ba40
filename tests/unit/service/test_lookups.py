import threading
import time

import anyio
import pytest

from service.contracts.ids import TenantId
from service.errors import Unavailable
from service.lookups import Lookups

A, B = TenantId("a"), TenantId("b")


def test_an_answer_and_an_error_come_as_they_are() -> None:
    lookups = Lookups()
    assert anyio.run(lookups.ask, A, lambda: "8.8.8.8") == "8.8.8.8"
    with pytest.raises(OSError, match="unknown"):
        anyio.run(lookups.ask, A, _unknown)


def _unknown() -> str:
    raise OSError("unknown")


def test_questions_that_hang_are_given_up_and_count_until_they_return() -> None:
    lookups, release = Lookups(max_of_all=3, max_of_one=2, patience_seconds=0.05), threading.Event()

    async def story() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await lookups.ask(A, lambda: release.wait(30))
        with pytest.raises(Unavailable):
            await lookups.ask(A, lambda: True)
        assert await lookups.ask(B, lambda: True), "another tenant's are answered meanwhile"
        release.set()
        while True:
            try:
                assert await lookups.ask(A, lambda: True)
                return
            except Unavailable:
                await anyio.sleep(0.01)

    began = time.monotonic()
    anyio.run(story)
    assert time.monotonic() - began < 5
