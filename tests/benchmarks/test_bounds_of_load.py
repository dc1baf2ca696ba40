"""`make load` fails where it should. Not a benchmark itself: it costs nothing, and so runs with the tests."""

from dataclasses import replace
from typing import Any

import pytest

from tests.benchmarks.service_load import Sample, missed

FOUND: dict[str, Any] = {"errors": {}, "p99_ms": 20.0}
BEGIN = Sample(0, 0.0, {"API": 90.0, "worker": 500.0}, 1.0)
WARM = Sample(100, 1.0, {"API": 116.0, "worker": 700.0}, 1.0)
END = Sample(900, 9.0, {"API": 120.0, "worker": 704.0}, 5.0)


def test_a_run_within_all_bounds_misses_none() -> None:
    assert missed([BEGIN, WARM, WARM, END], FOUND, 0, 0) == []


@pytest.mark.parametrize(
    ("found", "end", "num_failed", "num_errors", "told"),
    [
        ({"errors": {"503": 2}}, END, 0, 0, "polls not answered with 200: {'503': 2}"),
        ({"p99_ms": 100.1}, END, 0, 0, "p99 of polling is 100.1 ms, more than 100 ms"),
        ({}, replace(END, rss_mb={"API": 128.0, "worker": 704.0}), 0, 0, "API grew from 116 to 128 MB"),
        ({}, replace(END, num_done=0), 0, 0, "no job was done"),
        ({}, END, 1, 0, "1 jobs failed"),
        ({}, END, 0, 3, "3 errors in the log"),
    ],
)
def test_each_bound_that_is_missed_is_told(
    found: dict[str, Any], end: Sample, num_failed: int, num_errors: int, told: str
) -> None:
    (one,) = missed([BEGIN, WARM, WARM, end], FOUND | found, num_failed, num_errors)
    assert one.startswith(told)
