"""What survives a kill: the weights, the optimiser and the step of the stage that was running."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from models.adaptation.config import AdaptationConfig
from models.errors import AdapterUnusable
from models.tensor_file import read_tensors, write_tensors

_TRAINED, _OPTIMIZER = "trained", "optimizer"


@dataclass
class Checkpoint:
    """The state of an adaptation between two steps.

    ``stage``: the stage that goes on at ``step``. ``tensors``: what has been trained so far. ``optimizer``: the
    optimiser's state of this stage, or none at its start. ``curve``: (stage, step, loss) so far; ``window``: the losses
    since its last point. There is no random state: every draw is a function of the seed and the step.
    """

    stage: str
    step: int
    tensors: dict[str, torch.Tensor]
    optimizer: dict[str, Any] | None = None
    curve: list[tuple[str, int, float]] = field(default_factory=list)
    window: list[float] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)


class CheckpointFile:
    """One safetensors file, replaced by atomic rename; a file of another job's settings is ignored.

    ``interval_seconds``: how much work a killed job may lose.
    """

    def __init__(self, folder: Path, config: AdaptationConfig, purpose: str, interval_seconds: float) -> None:
        self._path = folder / "checkpoint.safetensors"
        self.identity = json.dumps({"config": asdict(config), "purpose": purpose}, sort_keys=True)
        self._interval_seconds = interval_seconds
        self._saved_at = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is so long ago that more work would be lost than may be."""
        return time.monotonic() - self._saved_at > self._interval_seconds

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the file. Raises ``OSError`` where it cannot be written."""
        tensors = {f"{_TRAINED}.{name}": tensor for name, tensor in checkpoint.tensors.items()}
        optimizer = checkpoint.optimizer or {"state": {}, "param_groups": None}
        tensors |= _flat(optimizer["state"])
        words = {
            "identity": self.identity,
            "stage": checkpoint.stage,
            "step": checkpoint.step,
            "curve": checkpoint.curve,
            "window": checkpoint.window,
            "stage_seconds": checkpoint.stage_seconds,
            "param_groups": optimizer["param_groups"],
        }
        write_tensors(self._path, tensors, {"checkpoint": json.dumps(words)})
        self._saved_at = time.monotonic()

    def load(self) -> Checkpoint | None:
        """The last checkpoint of the same settings, if there is a readable one."""
        try:
            tensors, metadata = read_tensors(self._path)
            words = json.loads(metadata["checkpoint"])
        except (AdapterUnusable, KeyError, ValueError):
            return None
        if words.pop("identity", None) != self.identity:
            return None
        groups = words.pop("param_groups")
        words["curve"] = [(stage, step, loss) for stage, step, loss in words["curve"]]
        optimizer = None if groups is None else {"state": _nested(tensors), "param_groups": groups}
        trained = {
            name.removeprefix(f"{_TRAINED}."): one for name, one in tensors.items() if name.startswith(f"{_TRAINED}.")
        }
        return Checkpoint(tensors=trained, optimizer=optimizer, **words)


def _flat(state: Mapping[int, Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """An optimiser's tensors by one name each; it must keep nothing else, as torch's Adam and AdamW do."""
    return {
        f"{_OPTIMIZER}.{parameter}.{key}": tensor for parameter, own in state.items() for key, tensor in own.items()
    }


def _nested(tensors: Mapping[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    """`_flat`, undone."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{_OPTIMIZER}."):
            _, parameter, key = name.split(".", 2)
            state.setdefault(int(parameter), {})[key] = tensor
    return state
