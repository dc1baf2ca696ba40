"""Low-rank adapters (Hu et al. 2021) in attention layers, through peft: put in, read out, take away."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

#: The attention projections of diffusers' U-Net and of transformers' CLIP text encoder.
UNET_TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
TEXT_ENCODER_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]

#: Low-rank weights by "module.path.lora_A.weight" (rank, in) and "module.path.lora_B.weight" (out, rank), float32.
LoraWeights = dict[str, torch.Tensor]


def lora_layers(module: nn.Module, adapter_name: str) -> Iterator[tuple[str, LoraLayer]]:
    """Every layer of ``module`` that carries ``adapter_name``, with its path."""
    for path, layer in module.named_modules():
        if isinstance(layer, LoraLayer) and adapter_name in layer.lora_A:
            yield path, layer


def inject(module: nn.Module, adapter_name: str, targets: list[str], rank: int, lora_alpha: float, seed: int) -> None:
    """Add an untrained adapter, active and alone: B is zero, so the module's output does not change.

    A is drawn from ``seed``. Its parameters are float32 whatever the module's dtype, and require gradients.
    """
    config = LoraConfig(r=rank, lora_alpha=lora_alpha, target_modules=targets, init_lora_weights=True)
    inject_adapter_in_model(config, module, adapter_name=adapter_name)
    draws = torch.Generator().manual_seed(seed)
    for _, layer in lora_layers(module, adapter_name):
        layer.set_adapter([adapter_name])
        down, up = layer.lora_A[adapter_name], layer.lora_B[adapter_name]
        down.float()
        up.float()
        with torch.no_grad():
            down.weight.copy_(drawn(down.weight.shape, draws))


def drawn(shape: Sequence[int], draws: torch.Generator) -> torch.Tensor:
    """An untrained A of (rank, in) numbers, evenly distributed within 1 / sqrt(in) of zero: float32 on the CPU."""
    bound: float = shape[1] ** -0.5
    return (torch.rand(tuple(shape), generator=draws) * 2 - 1) * bound


def trainable(module: nn.Module, adapter_name: str) -> list[nn.Parameter]:
    """The adapter's parameters, in a fixed order."""
    return [
        parameter
        for _, layer in lora_layers(module, adapter_name)
        for parameter in (layer.lora_A[adapter_name].weight, layer.lora_B[adapter_name].weight)
    ]


def read(module: nn.Module, adapter_name: str) -> LoraWeights:
    """The adapter's weights, copied to the CPU as float32."""
    weights: LoraWeights = {}
    for path, layer in lora_layers(module, adapter_name):
        weights[f"{path}.lora_A.weight"] = layer.lora_A[adapter_name].weight.detach().float().cpu().clone()
        weights[f"{path}.lora_B.weight"] = layer.lora_B[adapter_name].weight.detach().float().cpu().clone()
    return weights


@torch.no_grad()
def write(module: nn.Module, adapter_name: str, weights: Mapping[str, torch.Tensor]) -> None:
    """Copy ``weights`` over the adapter's, in place. Raises ``KeyError`` or ``RuntimeError`` where they do not fit."""
    for path, layer in lora_layers(module, adapter_name):
        layer.lora_A[adapter_name].weight.copy_(weights[f"{path}.lora_A.weight"])
        layer.lora_B[adapter_name].weight.copy_(weights[f"{path}.lora_B.weight"])


def set_scale(module: nn.Module, adapter_name: str, scaling: float) -> None:
    """Multiply the adapter's product B A by ``scaling`` (= lora_scale x lora_alpha / rank) from now on."""
    for _, layer in lora_layers(module, adapter_name):
        layer.scaling[adapter_name] = scaling


def remove(module: nn.Module, adapter_name: str) -> None:
    """Take the adapter away; layers left without any adapter become what they were before ``inject``."""
    for path, layer in list(lora_layers(module, adapter_name)):
        layer.delete_adapter(adapter_name)
        if not layer.lora_A:
            parent, _, child = path.rpartition(".")
            setattr(module.get_submodule(parent), child, layer.get_base_layer())
    remaining = getattr(module, "peft_config", {})
    remaining.pop(adapter_name, None)
    if not remaining and hasattr(module, "peft_config"):
        del module.peft_config


def activate(module: nn.Module, adapter_name: str) -> None:
    """Make ``adapter_name`` the only active adapter of the layers that carry it."""
    for _, layer in lora_layers(module, adapter_name):
        layer.set_adapter([adapter_name])
