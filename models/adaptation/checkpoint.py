"""What survives a kill: the weights, the optimiser and the step of the stage that was running."""

import io
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from models.adaptation.config import AdaptationConfig


@dataclass
class Checkpoint:
    """The state of an adaptation between two steps.

    ``stage``: the stage that goes on at ``step``. ``tensors``: what has been trained so far. ``optimizer``: the
    optimiser's state of this stage, or none at its start. ``curve``: (stage, step, loss) so far. There is no random
    state: every draw is a function of the seed and the step.
    """

    stage: str
    step: int
    tensors: dict[str, torch.Tensor]
    optimizer: dict[str, Any] | None = None
    curve: list[tuple[str, int, float]] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)


class CheckpointFile:
    """One file, replaced by atomic rename; a file of another job's settings is ignored.

    ``interval_seconds``: how much work a killed job may lose.
    """

    def __init__(self, folder: Path, config: AdaptationConfig, purpose: str, interval_seconds: float) -> None:
        self._path = folder / "checkpoint.pt"
        self._identity = json.dumps({"config": asdict(config), "purpose": purpose}, sort_keys=True)
        self._interval_seconds = interval_seconds
        self._saved_at = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is so long ago that more work would be lost than may be."""
        return time.monotonic() - self._saved_at > self._interval_seconds

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file. Raises ``OSError`` where it cannot be written.

        Through memory, for torch itself tells of a full disk by a RuntimeError that does not say so.
        """
        encoded = io.BytesIO()
        torch.save({"identity": self._identity, **vars(checkpoint)}, encoded)
        partial = self._path.with_suffix(".partial")
        partial.write_bytes(encoded.getbuffer())
        partial.replace(self._path)
        self._saved_at = time.monotonic()

    def load(self) -> Checkpoint | None:
        """The last checkpoint of the same settings, if there is a readable one."""
        if not self._path.exists():
            return None
        try:
            state = torch.load(self._path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError):
            return None
        if state.pop("identity", None) != self._identity:
            return None
        return Checkpoint(**state)
