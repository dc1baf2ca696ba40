"""Threads that take turns."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from worker.turns import Turns


def test_one_goes_at_a_time_and_who_passes_on_goes_after_all_who_wait() -> None:
    turns = Turns()
    log: list[str] = []

    def work(name: str) -> None:
        with turns.turn():
            log.append(name)
            turns.pass_on()
            log.append(name)

    with ThreadPoolExecutor(3) as threads, turns.turn():
        for number, name in enumerate("abc", start=1):
            threads.submit(work, name)
            while len(turns._line) < number:
                time.sleep(0.001)
    assert "".join(log) == "abcabc"


def test_a_turn_that_ends_with_an_error_is_over() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn():
        raise ZeroDivisionError
    with turns.turn():
        turns.pass_on()
