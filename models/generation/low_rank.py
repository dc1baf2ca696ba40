"""Low-rank matrices of many adapters and one frozen U-Net: each row of a batch is computed with its own.

Where all rows are of one adapter, the U-Net is called with W + s B A in the place of W, and costs what the bare one
costs. Otherwise its attention projections get a hook for the call, which adds what their rows' matrices make of the
input: adapters of different ranks, the same one at different scales, and rows without any share a call. Either way
nothing of the U-Net is changed, so nothing can drift.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from models.adapter import Adapter, check_base
from models.diffusion.base_model import BaseModel

_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class LowRank:
    """An adapter's matrices on the U-Net's device, in the dtype that it computes in, by the path of their layer.

    ``layers``: (in, rank) and (rank, out), all that the adapter is scaled by multiplied into the second. ``frozen``:
    the weights (out, in) that they add to, where these are stored as float32; else nothing, for in half precision a
    change that is smaller than the distance of two neighbouring numbers would round to nothing.
    """

    layers: Mapping[str, _Pair]
    frozen: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of_adapter(cls, adapter: Adapter, base: BaseModel, lora_scale: float = 1.0) -> "LowRank | None":
        """Weighed by ``lora_scale`` (1 = as trained, 0 = the frozen U-Net); none where stage 2 was skipped.

        Raises ``AdapterUnusable`` if the adapter is not of this base model.
        """
        check_base(adapter, base)
        scale = lora_scale * adapter.card.lora_alpha / adapter.card.rank
        paths = [name.removesuffix(_DOWN) for name in adapter.unet_lora if name.endswith(_DOWN)]
        pairs = {path: (adapter.unet_lora[path + _DOWN].T, adapter.unet_lora[path + _UP].T * scale) for path in paths}
        dtype = base.autocast or base.dtype
        placed = {path: (down.to(base.device, dtype).contiguous(), up.to(base.device, dtype).contiguous())
                  for path, (down, up) in pairs.items()}  # fmt: skip
        weights = {path: base.unet.get_parameter(f"{path}.weight") for path in placed}
        stored_whole = all(weight.dtype is torch.float32 for weight in weights.values())
        return cls(placed, weights if stored_whole else {}) if placed else None


#: One for each row of a batch, in the rows' order.
RowsOf = Sequence[LowRank | None]


def answer(unet: nn.Module, rows: RowsOf, *inputs: torch.Tensor) -> torch.Tensor:
    """What ``unet`` makes of ``inputs``, row i of the batch with ``rows[i]``."""
    first = rows[0]
    if first is not None and first.frozen and all(one is first for one in rows):
        found = functional_call(unet, _merged(first), inputs, {"return_dict": False}, tie_weights=False)
    else:
        with _beside(unet, rows):
            found = unet(*inputs, return_dict=False)
    predicted: torch.Tensor = found[0]
    return predicted


@lru_cache(maxsize=1)  # From step to step, and from batch to batch, it is mostly the same adapter.
def _merged(one: LowRank) -> dict[str, torch.Tensor]:
    """W + s B A of each layer, by the names of the U-Net's parameters.

    Kept until another adapter is merged, or `forget`: as many bytes again as the attention projections have.
    """
    return {
        f"{path}.weight": torch.addmm(one.frozen[path], up.T.float(), down.T.float())
        for path, (down, up) in one.layers.items()
    }


def forget() -> None:
    """Let go of the adapters and weights that the last calls left here, for what needs the memory more."""
    _merged.cache_clear()
    _by_layer.cache_clear()


@contextmanager
def _beside(unet: nn.Module, rows: RowsOf) -> Iterator[None]:
    """While the block runs, ``unet`` computes row i of its batch with ``rows[i]``."""
    with ExitStack() as hooks:
        for path, pair in _by_layer(tuple(rows)).items():
            hooks.callback(unet.get_submodule(path).register_forward_hook(_adding(*pair)).remove)
        yield


def _adding(down: torch.Tensor, up: torch.Tensor) -> Callable[[nn.Module, tuple[Any, ...], torch.Tensor], torch.Tensor]:
    """(in, rank) and (rank, out) for all rows, or with one more dimension before them, of the rows."""

    def add(_: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(output, inputs[0] @ down, up.expand(len(output), -1, -1))

    return add


@lru_cache(maxsize=1)  # From step to step the rows of a call are mostly the same.
def _by_layer(rows: tuple[LowRank | None, ...]) -> dict[str, _Pair]:
    """What each layer needs for these rows; one pair of matrices for all where they are of one adapter."""
    different = list(dict.fromkeys(row for row in rows if row is not None))
    if not different:
        return {}
    if len(different) == 1 and None not in rows:
        return dict(different[0].layers)
    paths = dict.fromkeys(path for one in different for path in one.layers)
    return {path: _stacked([row.layers.get(path) if row is not None else None for row in rows]) for path in paths}


def _stacked(pairs: Sequence[_Pair | None]) -> _Pair:
    """(rows, in, rank) and (rows, rank, out), with zeros up to the highest rank."""
    known = [pair for pair in pairs if pair is not None]
    rank = max(down.shape[1] for down, _ in known)
    nothing = (known[0][0][:, :0], known[0][1][:0])
    padded = [pair or nothing for pair in pairs]
    downs = [F.pad(down, (0, rank - down.shape[1])) if down.shape[1] < rank else down for down, _ in padded]
    ups = [F.pad(up, (0, 0, 0, rank - up.shape[0])) if up.shape[0] < rank else up for _, up in padded]
    return torch.stack(downs), torch.stack(ups)
