"""What a training took, seen from outside: the same clock for this project's training and for any other script.

It wraps what every training on diffusers goes through: the two networks, the gradient, the optimiser, the encoder.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel


def _peak_bytes() -> int:
    """Of this process's own resident memory: what `resource` tells begins with its parent's."""
    told = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(told.split()[1]) * 1024


@dataclass
class NetworkClock:
    """``networks_seconds``: in U-Net and text encoder, forward, and in the gradient.

    Times are since the first image was encoded; loading is not in them.
    """

    networks_seconds: float = 0.0
    bytes_before: int = 0
    peak_bytes: int = 0
    step_ends: list[float] = field(default_factory=list)
    _begun_at: float | None = None

    def install(self) -> None:
        """From now on everything in this process is timed."""
        self._wrap(UNet2DConditionModel, "forward", self._in_networks)
        self._wrap(CLIPTextModel, "forward", self._in_networks)
        self._wrap(torch.Tensor, "backward", self._in_networks)
        self._wrap(torch.optim.AdamW, "step", self._step)
        self._wrap(AutoencoderKL, "encode", self._encoded)

    def finish(self) -> None:
        """The training is over and what it made is stored; the memory that comes later is not counted."""
        if self._begun_at is not None:
            self.peak_bytes = _peak_bytes()

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}

    @staticmethod
    def _wrap(kind: type, name: str, around: Callable[..., Any]) -> None:
        original = getattr(kind, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs)

        wrapped.hooked = True  # type: ignore[attr-defined]  # torch wraps a bare `step` in its profiler's once more
        setattr(kind, name, wrapped)

    def _in_networks(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        answer = original(*args, **kwargs)
        self.networks_seconds += time.perf_counter() - begun
        return answer

    def _step(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        assert self._begun_at is not None, "a step before any image was encoded"
        self.step_ends.append(time.perf_counter() - self._begun_at)
        return answer

    def _encoded(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._begun_at is None:
            self._begun_at = time.perf_counter()
            self.bytes_before = _peak_bytes()
        return original(*args, **kwargs)
