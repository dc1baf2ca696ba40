"""Arithmetic in bfloat16 on CPUs that have instructions for it, with latents, norms and losses in float32.

U-Net and decoder compute under autocast, wherever they are called from: no caller can forget it. The encoder does not:
latents of real images are computed once, and are what all else begins with.
"""

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from models.diffusion.lora import UNET_TARGETS

#: Up to so many positions plain attention is faster than fused, whose gradient is slow in bfloat16 on a CPU, and its
#: matrix of weights, of which training keeps one a layer, small.
_MOST_POSITIONS = 32 * 32


def has_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` is a CPU that multiplies bfloat16 without taking it apart first."""
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def compute_in_bfloat16(unet: UNet2DConditionModel, vae: AutoencoderKL) -> None:
    """Make both, float32 on a CPU, compute in bfloat16; the decoder's convolutions are faster by channels last.

    Layers that low-rank matrices are trained for keep their weights: a small change would be lost in bfloat16.
    """
    _under_autocast(unet, UNET_TARGETS)
    _under_autocast(vae.decoder)
    vae.to(memory_format=torch.channels_last)
    if int(unet.config.sample_size) ** 2 <= _MOST_POSITIONS:
        unet.set_attn_processor(AttnProcessor())


def _under_autocast(module: nn.Module, whole: Sequence[str] = ()) -> None:
    """Autocast rounds a frozen weight anew at every call; it is stored as what it is rounded to, but for ``whole``."""
    for path, layer in module.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and not f".{path}".endswith(tuple(f".{one}" for one in whole)):
            layer.to(torch.bfloat16)
    module.forward = torch.autocast("cpu", torch.bfloat16)(module.forward)
