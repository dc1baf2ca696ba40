import pytest

from service.contracts.jobs import Progress
from worker.progress import Gauge, ProgressWriter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Stop(Exception):
    """What a check raises."""


def test_the_fraction_follows_the_weights_of_the_stages_and_never_falls() -> None:
    gauge = Gauge({"first": 1.0, "second": 3.0}, clock=Clock())
    steps = [("first", 1, 2), ("first", 2, 2), ("unknown", 5, 5), ("second", 1, 3), ("first", 1, 2), ("second", 3, 3)]
    fractions = [gauge.measure(stage, step, total, {}).fraction for stage, step, total in steps]
    assert fractions == [0.125, 0.25, 0.25, 0.5, 0.5, 1.0]


def test_the_seconds_left_follow_the_recent_rate_rather_than_the_whole_past() -> None:
    clock = Clock()
    gauge = Gauge({"train": 1.0}, clock=clock)
    assert gauge.measure("train", 0, 1000, {}).seconds_left is None
    clock.now = 1000.0  # a very slow beginning
    gauge.measure("train", 100, 1000, {})
    for second in range(1, 31):
        clock.now = 1000.0 + second
        seen = gauge.measure("train", 100 + 10 * second, 1000, {})
    assert seen.seconds_left == pytest.approx((1000 - 400) / 10, rel=0.01)


def test_what_an_earlier_worker_did_is_not_this_ones_speed() -> None:
    clock = Clock()
    gauge = Gauge({"first": 1.0, "second": 1.0}, clock=clock)
    gauge.measure("cache", 1, 1, {})
    for second in range(5):
        clock.now = 1.0 + second
        seen = gauge.measure("second", 500 + 10 * second, 1000, {})
        assert seen.fraction == pytest.approx(0.75 + 0.005 * second)
    assert seen.seconds_left == pytest.approx((1000 - 540) / 8, rel=0.01)  # 40 steps in 5 s, the cache's one included


def test_calls_are_many_and_writes_are_few_but_every_stage_is_seen() -> None:
    clock, written, checks = Clock(), list[Progress](), list[None]()
    writer = ProgressWriter(
        Gauge({"a": 1.0, "b": 1.0}, clock=clock),
        check=lambda: checks.append(None),
        write=written.append,
        interval_seconds=0.375,
        clock=clock,
    )
    for step in range(1, 11):
        clock.now += 0.125
        writer("a", step, 10, loss=0.5)
    clock.now += 0.01
    writer("b", 1, 10)
    assert [(seen.stage, seen.step) for seen in written] == [("a", 1), ("a", 4), ("a", 7), ("a", 10), ("b", 1)]
    assert written[0].figures == {"loss": 0.5}
    assert len(checks) == 11 + len(written)


def test_a_wish_to_stop_is_noticed_even_where_nothing_is_due_to_be_written() -> None:
    wishes = [False, False, True]

    def check() -> None:
        if wishes.pop(0):
            raise Stop

    writer = ProgressWriter(
        Gauge({}, clock=Clock()), check=check, write=lambda seen: None, interval_seconds=60, clock=Clock()
    )
    writer("a", 1, 10)
    with pytest.raises(Stop):
        writer("a", 2, 10)
