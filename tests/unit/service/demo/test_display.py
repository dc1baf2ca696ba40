import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from service.api.views import JobView
from service.contracts.jobs import JobKind, JobState, Progress
from service.demo.display import Bars, Lines, display_for, told

LORA = Progress(stage="lora", step=120, total=300, fraction=0.5, figures={"loss": 0.1234})


def job(state: JobState, progress: Progress | None = None, name: str = "pits", position: int | None = None) -> JobView:
    return JobView(
        id=f"job_{name}", kind=JobKind.ADAPTATION, state=state, resource_id="adn_1", class_name=name, attempts=1,
        progress=progress, queue_position=position, revision=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), links={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (job(JobState.QUEUED, position=2), "queued (2. in line)"),
        (job(JobState.RUNNING), "running"),
        (job(JobState.RUNNING, LORA), "stage 2, LoRA 120/300, loss 0.123"),
        (
            job(
                JobState.RUNNING,
                Progress(stage="denoising", step=3, total=9, fraction=0.3, figures={"images_done": 8}),
            ),
            "denoising 3/9, 8 images",
        ),
        (job(JobState.SUCCEEDED, LORA), "succeeded"),
    ],
)
def test_a_job_is_told_by_stage_step_and_figures(view: JobView, words: str) -> None:
    assert told(view) == words


def test_without_a_terminal_a_line_comes_every_few_seconds_and_each_end_is_told_once() -> None:
    stream, now = io.StringIO(), 0.0
    lines = Lines(Console(file=stream, width=80), "adapting", clock=lambda: now)
    running = [job(JobState.RUNNING, LORA), job(JobState.QUEUED, name="rust", position=1)]
    for _ in range(30):  # fifteen seconds, twice a second
        lines.show(running)
        now += 0.5
    for _ in range(3):
        lines.show([job(JobState.SUCCEEDED), job(JobState.QUEUED, name="rust")])
    assert stream.getvalue().splitlines() == [
        "adapting [   0 s, 0/2 done] pits: 50%, stage 2, LoRA 120/300, loss 0.123",
        "adapting [   5 s, 0/2 done] pits: 50%, stage 2, LoRA 120/300, loss 0.123",
        "adapting [  10 s, 0/2 done] pits: 50%, stage 2, LoRA 120/300, loss 0.123",
        "adapting [  15 s, 1/2 done] pits: succeeded",
    ]


def test_on_a_terminal_every_class_has_a_bar() -> None:
    stream = io.StringIO()
    display = display_for(Console(file=stream, force_terminal=True, width=140), "adapting")
    assert isinstance(display, Bars)
    with display:
        display.show([job(JobState.RUNNING, LORA), job(JobState.QUEUED, name="rust", position=1)])
        display.show([job(JobState.SUCCEEDED, LORA), job(JobState.FAILED, name="rust")])
    shown = stream.getvalue()
    assert "adapting pits" in shown
    assert "100%" in shown
    assert "failed" in shown
