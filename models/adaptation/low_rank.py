"""Low-rank matrices while they are trained (Hu et al. 2021): W + s B A in the place of W, in one of two ways.

`Merged` adds the product to the weights once a step, and the network costs what the frozen one costs; peft's layers
(`Beside`) take two more products and a sum of all activations in each layer. Weights that are stored in half precision
cannot take it up: a change smaller than the distance of two neighbouring numbers would round to nothing. Nor is there
memory for it where little is to be had: sums and their gradients take as much as the layers, twice.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn
from torch.func import functional_call

from models.diffusion import lora

_NAME = "adapting"  # peft keeps adapters in a ModuleDict, where "training" is taken


class LowRank(Protocol):
    """A module called with trainable matrices in its attention. ``parameters``: (A, B) of each layer, in its order."""

    parameters: list[nn.Parameter]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module answers with the matrices as they are now, differentiable by them."""
        ...

    def read(self) -> lora.LoraWeights:
        """The matrices, copied to the CPU."""
        ...

    def remove(self) -> None:
        """Leave the module as it was found."""
        ...


def low_rank(
    module: nn.Module, targets: Sequence[str], rank: int, lora_alpha: float, seed: int, *, spare_memory: bool = False
) -> LowRank:
    """Untrained matrices for the ``targets`` of a frozen ``module``: A drawn from ``seed``, B zero.

    ``spare_memory``: needed under gradient checkpointing, which calls a network again on the way back, by itself.
    """
    stored_whole = all(layer.weight.dtype is torch.float32 for layer in _layers(module, targets).values())
    return (Merged if stored_whole and not spare_memory else Beside)(module, targets, rank, lora_alpha, seed)


def _layers(module: nn.Module, targets: Sequence[str]) -> dict[str, nn.Linear]:
    """The ``targets``, by their paths."""
    ends = tuple(f".{target}" for target in targets)
    return {
        path: layer
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and f".{path}".endswith(ends)
    }


class Merged:
    """The module itself is never changed: it is called with other weights in the place of its own."""

    def __init__(self, module: nn.Module, targets: Sequence[str], rank: int, lora_alpha: float, seed: int) -> None:
        self._module, self._scaling = module, lora_alpha / rank
        layers = _layers(module, targets)
        self._weights = {path: layer.weight for path, layer in layers.items()}
        self._matrices: dict[str, tuple[nn.Parameter, nn.Parameter]] = {}
        draws = torch.Generator().manual_seed(seed)
        for path, layer in layers.items():
            down = lora.drawn((rank, layer.in_features), draws).to(layer.weight.device)
            up = torch.zeros(layer.out_features, rank, device=layer.weight.device)
            self._matrices[path] = (nn.Parameter(down), nn.Parameter(up))
        self.parameters = [matrix for pair in self._matrices.values() for matrix in pair]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The module's answer under W + s B A."""
        merged = {
            f"{path}.weight": torch.addmm(self._weights[path], up, down, alpha=self._scaling)
            for path, (down, up) in self._matrices.items()
        }
        return functional_call(self._module, merged, args, kwargs, tie_weights=False)

    def read(self) -> lora.LoraWeights:
        """Under the names that peft's layers give."""
        weights: lora.LoraWeights = {}
        for path, (down, up) in self._matrices.items():
            weights[f"{path}.lora_A.weight"] = down.detach().cpu().clone()
            weights[f"{path}.lora_B.weight"] = up.detach().cpu().clone()
        return weights

    def remove(self) -> None:
        """Nothing was put in."""


class Beside:
    """peft's layers, put into the module until they are removed."""

    def __init__(self, module: nn.Module, targets: Sequence[str], rank: int, lora_alpha: float, seed: int) -> None:
        self._module = module
        try:
            lora.inject(module, _NAME, list(targets), rank, lora_alpha, seed)
        except BaseException:
            self.remove()
            raise
        self.parameters = lora.trainable(module, _NAME)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The module's answer, matrices among its layers."""
        return self._module(*args, **kwargs)

    def read(self) -> lora.LoraWeights:
        """As float32, whatever the module's dtype."""
        return lora.read(self._module, _NAME)

    def remove(self) -> None:
        """Take the layers out."""
        lora.remove(self._module, _NAME)
