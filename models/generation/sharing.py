"""Continuous batching: runs of several threads share U-Net calls, filled at every step from what is waiting.

One thread computes at a time, and the others wait in line; which one it is, is told by ``pass_on``: "I could wait now;
come back to me when everybody who is in line has had a turn".
"""

from collections.abc import Callable, Sequence

import torch

from models.diffusion.base_model import BaseModel
from models.generation.denoising import Run, predict
from models.progress import Progress


class SharedDenoiser:
    """A `Denoiser` for several threads, all with the same base model.

    A call takes up to ``max_rows`` rows, or one run that is larger: first those that were there first, then whoever
    fits beside them. A run that ends makes room for the next at once, and a thread's next run goes to the end, so jobs
    take turns and none waits for ever. An error is the error of the run that it came of: where a shared call fails,
    its runs are tried alone.
    """

    def __init__(self, max_rows: int, pass_on: Callable[[], None]) -> None:
        self._max_rows = max_rows
        self._pass_on = pass_on
        self._runs: list[Run] = []

    @torch.inference_mode()
    def __call__(self, base: BaseModel, run: Run, progress: Progress) -> None:
        """All steps of the run. Raises what the progress callback raises, which is called in each turn."""
        self._runs.append(run)
        try:
            while not run.is_done:
                done = run.num_done
                self._pass_on()
                if run.num_done == done and run in (chosen := self._chosen()):
                    _step(base, chosen)
                if run.error is not None:
                    raise run.error
                progress("denoising", run.num_done, run.num_steps)
        finally:
            self._runs.remove(run)

    def _chosen(self) -> list[Run]:
        """Whose next step is taken together."""
        chosen: list[Run] = []
        num_rows = 0
        for run in self._runs:
            goes_on = not run.is_done and run.error is None
            if goes_on and (not chosen or num_rows + run.num_rows <= self._max_rows):
                chosen.append(run)
                num_rows += run.num_rows
        return chosen


def _step(base: BaseModel, runs: Sequence[Run]) -> None:
    """One step of each run; what fails alone, too, is left in the run for its own thread."""
    try:
        predicted = predict(base, runs)
    except Exception as error:
        for run in runs:
            if len(runs) > 1:
                _step(base, [run])
            else:
                run.error = error
        return
    for run, answer in zip(runs, predicted, strict=True):
        try:
            run.advance(answer)
        except Exception as error:
            run.error = error
