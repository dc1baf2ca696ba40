"""A job's progress: written to its row now and then, and the place where a job learns that it must stop."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.contracts.jobs import Progress
from worker.metrics import STEPS, Observe, What, unobserved

#: Seconds of the past that the estimate of the seconds left looks at.
_RATE_WINDOW_SECONDS = 20.0


@dataclass
class Gauge:
    """Turns "step of stage" into a share of the whole job and an estimate of what is left.

    ``weights``: how long each expected stage takes relative to the others, in the order they run. A stage that is not
    among them counts nothing. The fraction never falls. A stage's first report tells where it begins: what it has by
    then may be an earlier worker's, and says nothing of this one's speed.
    """

    weights: Mapping[str, float]
    clock: Callable[[], float] = time.monotonic
    fraction: float = 0.0
    _past: deque[tuple[float, float]] = field(default_factory=deque)
    _stage: str | None = None

    def measure(self, stage: str, step: int, total: int, figures: dict[str, float]) -> Progress:
        """Where the job is now."""
        gained = max(0.0, self._fraction(stage, step, total) - self.fraction)
        self.fraction += gained
        if stage != self._stage:
            self._stage = stage
            self._past = deque((then, fraction + gained) for then, fraction in self._past)
        return Progress(
            stage=stage,
            step=step,
            total=max(total, step),
            fraction=self.fraction,
            seconds_left=self._seconds_left(),
            figures=figures,
        )

    def _fraction(self, stage: str, step: int, total: int) -> float:
        whole = sum(self.weights.values())
        if stage not in self.weights or whole <= 0:
            return 0.0
        before = 0.0
        for name, weight in self.weights.items():
            if name == stage:
                return min(1.0, (before + weight * min(1.0, step / max(total, 1))) / whole)
            before += weight
        return 0.0

    def _seconds_left(self) -> float | None:
        """By the rate of the last seconds; None until there is one."""
        now = self.clock()
        self._past.append((now, self.fraction))
        while len(self._past) > 2 and now - self._past[1][0] >= _RATE_WINDOW_SECONDS:
            self._past.popleft()
        then, fraction_then = self._past[0]
        gained = self.fraction - fraction_then
        return round((1.0 - self.fraction) * (now - then) / gained, 1) if gained > 0 else None


class Pace:
    """Observes how long single steps take: from one report to the next of the same stage, writing left out."""

    def __init__(self, observe: Observe = unobserved, clock: Callable[[], float] = time.monotonic) -> None:
        self._observe = observe
        self._clock = clock
        self._expected: tuple[str, int] | None = None
        self._begun_at = 0.0

    def done(self, stage: str, step: int) -> None:
        """A step is done. A stage's first one is not observed: what came before it belongs to no step."""
        if (stage, step) == self._expected:
            self._observe(What.STEP, self._clock() - self._begun_at, stage)
        self._expected = (stage, step + 1) if stage in STEPS else None

    def begin(self) -> None:
        """The next step begins."""
        self._begun_at = self._clock()


class ProgressWriter:
    """A `models.progress.Progress`: checks at every call whether to go on, writes at most once an interval.

    ``check`` raises what stops the job; ``write`` stores a progress. A stage's first report is always written.
    """

    def __init__(
        self,
        gauge: Gauge,
        *,
        check: Callable[[], None],
        write: Callable[[Progress], None],
        interval_seconds: float = 0.3,
        clock: Callable[[], float] = time.monotonic,
        observe: Observe = unobserved,
    ) -> None:
        self.pace = Pace(observe, clock)
        self._gauge = gauge
        self._check = check
        self._write = write
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._written_at: float | None = None
        self._stage: str | None = None

    def __call__(self, stage: str, step: int, total: int, **figures: float) -> None:
        """``step`` of ``total`` of ``stage`` are done. Raises what ``check`` raises."""
        self.pace.done(stage, step)
        self.report(stage, step, total, **figures)
        self.pace.begin()

    def report(self, stage: str, step: int, total: int, **figures: float) -> None:
        """The same of what are no single steps, so that nothing is timed."""
        self._check()
        now = self._clock()
        waited = self._written_at is None or now - self._written_at >= self._interval_seconds
        if waited or stage != self._stage:
            self._written_at, self._stage = now, stage
            self._write(self._gauge.measure(stage, step, total, figures))
            self._check()
