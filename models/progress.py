"""How long work reports where it stands, and how it is asked to stop."""

from typing import Protocol


class Progress(Protocol):
    """Called after every training or denoising step.

    ``step`` of ``total`` steps of ``stage`` are done (1-based); ``figures`` are what a curve is drawn from, such as
    ``loss``. It may raise `models.errors.Canceled` or `Interrupted`: the caller unwinds at once.
    """

    def __call__(self, stage: str, step: int, total: int, **figures: float) -> None:
        """Report one step done."""
        ...


def no_progress(stage: str, step: int, total: int, **figures: float) -> None:
    """Report to nobody."""
