"""The loss curve that people watch: written now and then, never long, and of one training."""

from service.contracts.jobs import Progress
from worker.losses import Losses


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(stage: str, step: int, loss: float | None = None) -> Progress:
    figures = {"loss": loss} if loss is not None else {}
    return Progress(stage=stage, step=step, total=5000, fraction=0.0, figures=figures)


def test_a_curve_is_written_when_it_is_time_and_at_the_end_of_the_training() -> None:
    clock = Clock()
    losses = Losses(clock=clock)
    assert losses.with_next(told("lora", 1, 0.5)) is None
    clock.now = 2.0
    written = losses.with_next(told("lora", 2, 0.4))
    assert written is not None
    assert [(point.step, point.loss) for point in written] == [(1, 0.5), (2, 0.4)]
    assert losses.with_next(told("lora", 3, 0.3)) is None
    at_the_end = losses.with_next(told("search", 1))
    assert at_the_end is not None
    assert at_the_end[-1].step == 3
    assert losses.with_next(told("search", 2)) is None


def test_a_long_training_keeps_a_short_curve_from_its_beginning_to_its_end() -> None:
    losses = Losses()
    for step in range(1, 5001):
        losses.with_next(told("lora", step, 1 / step))
    curve = losses.with_next(told("search", 1))
    assert curve is not None
    assert len(curve) <= 161
    assert curve[0].step == 1
    assert curve[-1].step == 5000
    assert [point.step for point in curve] == sorted(point.step for point in curve)


def test_an_attempt_that_goes_on_from_a_checkpoint_replaces_what_it_repeats() -> None:
    first = Losses()
    for step in (1, 2, 3, 4):
        first.with_next(told("textual_inversion", step, 1.0))
    earlier = first.with_next(told("search", 0))
    assert earlier is not None
    second = Losses(earlier)
    second.with_next(told("textual_inversion", 3, 0.1))
    curve = second.with_next(told("search", 0))
    assert curve is not None
    assert [(point.step, point.loss) for point in curve] == [(1, 1.0), (2, 1.0), (3, 0.1)]
