"""The losses of a training that is under way, for whoever looks on: few enough to be written again and again."""

import time
from collections.abc import Callable, Sequence

from service.contracts.adaptations import CurvePoint
from service.contracts.jobs import Figure, Progress

_MAX_POINTS = 160
_EVERY_SECONDS = 1.5


class Losses:
    """What the progress told of the loss so far; ``earlier``: what another attempt at the job had told."""

    def __init__(self, earlier: Sequence[CurvePoint] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._points = list(earlier)
        self._clock = clock
        self._written_at = clock()
        self._num_unwritten = 0

    def with_next(self, progress: Progress) -> list[CurvePoint] | None:
        """The curve with this progress, where it is time to write it; at the end of the training it always is."""
        loss = progress.figures.get(Figure.LOSS)
        if loss is not None:
            self._add(CurvePoint(stage=progress.stage, step=progress.step, loss=loss))
        is_due = loss is None or self._clock() - self._written_at >= _EVERY_SECONDS
        if not self._num_unwritten or not is_due:
            return None
        self._num_unwritten, self._written_at = 0, self._clock()
        return list(self._points)

    def _add(self, point: CurvePoint) -> None:
        # An attempt that goes on from a checkpoint repeats steps, and one without it begins anew.
        repeated = (one.stage == point.stage and one.step >= point.step for one in self._points)
        kept = next((place for place, again in enumerate(repeated) if again), len(self._points))
        self._points = [*self._points[:kept], point]
        self._num_unwritten += 1
        if len(self._points) > _MAX_POINTS:
            self._points = [*self._points[:-1:2], point]
