"""Counts outlive the process that tells them, and telling never costs a job anything."""

import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable

from worker.metrics import OF_MAINTENANCE, OF_WORKER, Metrics, Pipe, What
from worker.progress import Pace


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def soon(condition: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + 10
    while not condition() and time.monotonic() < give_up_at:
        time.sleep(0.01)
    return condition()


def test_what_killed_children_told_is_counted_with_what_their_heirs_tell() -> None:
    metrics, pipe = Metrics(OF_WORKER), Pipe()
    for _ in range(3):
        child = os.fork()
        if child == 0:
            pipe(What.REJECTED, 2, "copy")
            pipe(What.ATTEMPT, 4.5, "generation", "succeeded")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
    pipe.follow(metrics)
    ending = {"kind": "generation", "ending": "succeeded"}
    assert soon(lambda: value(metrics, "defectsynth_job_attempt_seconds_count", **ending) == 3)
    assert value(metrics, "defectsynth_job_attempt_seconds_sum", **ending) == 13.5
    assert value(metrics, "defectsynth_images_rejected_total", reason="copy") == 6


def test_a_parent_that_does_not_read_holds_up_no_job() -> None:
    pipe = Pipe()
    started = time.monotonic()
    for _ in range(5_000):  # Far more than a pipe holds.
        pipe(What.STEP, 0.25, "lora")
    assert time.monotonic() - started < 5
    metrics = Metrics(OF_WORKER)
    pipe.follow(metrics)
    assert soon(lambda: (value(metrics, "defectsynth_step_seconds_count", stage="lora") or 0) > 500)


def test_every_series_of_a_bounded_label_is_there_from_the_start_at_zero() -> None:
    metrics = Metrics(OF_MAINTENANCE)
    assert value(metrics, "defectsynth_swept_jobs_total", outcome="requeued") == 0
    assert value(metrics, "defectsynth_swept_jobs_total", outcome="unheard_of") is None


def test_scrapes_are_answered_and_a_taken_port_ends_nothing() -> None:
    metrics = Metrics(OF_MAINTENANCE)
    metrics(What.ORPHAN, 7)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.listen()
        metrics.serve("127.0.0.1", port)
    metrics.serve("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b"defectsynth_orphans_removed_total 7.0" in answer.read()


def test_a_step_is_timed_from_the_last_report_of_its_stage_and_the_first_one_not_at_all() -> None:
    seen: list[tuple[str, float, tuple[str, ...]]] = []
    clock = iter([10.0, 11.5, 12.0, 20.0, 20.25, 21.0, 30.0]).__next__

    def observe(what: What, value: float, *labels: str) -> None:
        seen.append((what, value, labels))

    pace = Pace(observe, clock)
    for stage, step in (("lora", 1), ("lora", 2), ("denoising", 1), ("denoising", 2), ("denoising", 1)):
        pace.done(stage, step)
        pace.begin()
    for step in (1, 2):  # Nothing that is no step is timed.
        pace.done("quality", step)
    assert seen == [(What.STEP, 1.5, ("lora",)), (What.STEP, 0.25, ("denoising",))]
