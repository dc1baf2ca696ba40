"""Small files of the same form as the feature extractors that an operator installs."""

import hashlib
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import Dinov2Config, Dinov2Model

from models.evaluation.inception_network import InceptionNetwork


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def inception_state(stem_channels: int = 2) -> dict[str, torch.Tensor]:
    """Random weights that neither die out nor blow up on the way, with a classifier as the published file has one."""
    draws = torch.Generator().manual_seed(0)
    network = InceptionNetwork(stem_channels)
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("conv.weight"):
            value = torch.randn(value.shape, generator=draws) * (2.0 / value[0].numel()) ** 0.5
        elif name.endswith(("running_var", "bn.weight")):
            value = torch.rand(value.shape, generator=draws) + 0.5
        elif name.endswith(("running_mean", "bn.bias")):
            value = torch.randn(value.shape, generator=draws) * 0.2
        state[name] = value
    return {**state, "fc.weight": torch.zeros(8, network.dim), "fc.bias": torch.zeros(8)}


def save_inception(path: Path, state: dict[str, torch.Tensor] | None = None) -> Path:
    save_file(inception_state() if state is None else state, path)
    return path


class TinyGraph(nn.Module):
    """Called as StyleGAN's file is: 8-bit levels in, features out where asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3))

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert img.dtype == torch.uint8
        features = img.to(torch.float32).mean(dim=(2, 3)) @ self.weight
        return features if return_features else features.softmax(dim=1)


def save_graph(path: Path, network: nn.Module) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.", DeprecationWarning)
        torch.jit.script(network).save(str(path))
    return path


def save_dinov2(folder: Path) -> Path:
    """A folder as `Dinov2Model.save_pretrained` writes it: 16 patches of 56 px, made for pictures of 112 px."""
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=112, patch_size=56, mlp_ratio=2
    )
    Dinov2Model(config).save_pretrained(folder)
    return folder
