"""Low-rank matrices of many adapters beside one frozen U-Net: each row of a batch is computed with its own.

Nothing is put into the U-Net: for one call its attention projections get a hook that adds what their rows' matrices
make of the input. So nothing is swapped and nothing can drift; adapters of different ranks, the same one at different
scales, and rows without any share a call.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from models.adapter import Adapter, check_base
from models.diffusion.base_model import BaseModel

_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class LowRank:
    """An adapter's matrices on the U-Net's device, in the dtype that it computes in, by the path of their layer.

    ``layers``: (in, rank) and (rank, out), all that the adapter is scaled by multiplied into the second.
    """

    layers: Mapping[str, _Pair]

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
        return cls(placed) if placed else None


#: One for each row of a batch, in the rows' order.
RowsOf = Sequence[LowRank | None]


@contextmanager
def beside(unet: nn.Module, rows: RowsOf) -> Iterator[None]:
    """While the block runs, ``unet`` computes row i of its batch with ``rows[i]``."""
    with ExitStack() as hooks:
        for path, pair in _by_layer(tuple(rows)).items():
            hooks.callback(unet.get_submodule(path).register_forward_hook(_adding(*pair)).remove)
        yield


def _adding(down: torch.Tensor, up: torch.Tensor) -> Callable[[nn.Module, tuple[Any, ...], torch.Tensor], torch.Tensor]:
    """(in, rank) and (rank, out) for all rows, or with one more dimension before them, of the rows."""

    def add(_: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        # One fused product, and the same for one adapter as for several: so an image is the same to the last bit.
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
