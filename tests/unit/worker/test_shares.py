"""What jobs that run together are charged."""

from contextlib import ExitStack

from worker.shares import Shares


def test_jobs_that_run_together_take_as_much_as_the_device_was_busy_for() -> None:
    seconds = [0.0]
    shares = Shares(lambda: seconds[0])
    with shares.one() as first:
        seconds[0] = 4.0
        with ExitStack() as beside:
            second = beside.enter_context(shares.one())
            seconds[0] = 10.0
            assert (first(), second()) == (7.0, 3.0)
        seconds[0] = 11.0
        assert first() == 8.0
    seconds[0] = 100.0
    with shares.one() as alone:
        seconds[0] = 101.0
        assert alone() == 1.0
