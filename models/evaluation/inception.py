"""The standard 2048 features of Inception v3, for numbers that stand beside published ones.

Two forms of file open. TorchScript brings its own graph (StyleGAN's ``inception-2015-12-05.pt``), which takes 8-bit
levels and resizes and scales inside. safetensors holds the same weights under torchvision's names (pytorch-fid's
``pt_inception-2015-12-05``, converted); here levels in [0, 255] are resized as TensorFlow 1 does and scaled by
(x - 128) / 128, as in the graph of 2015-12-05. (pytorch-fid itself scales these weights' input by 2 x / 255 - 1 and
resizes with half-pixel centres: its scores differ a little.)
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import nn

from models.errors import ExtractorUnusable
from models.evaluation.inception_network import ConvNorm, InceptionNetwork, network_from
from models.evaluation.weights_file import check_finite, read_pinned, unusable

INPUT_PX = 299
_TORCHSCRIPT, _SAFETENSORS = frozenset({".pt", ".pth", ".ts"}), ".safetensors"
_FORMS = "Register StyleGAN's TorchScript file (.pt), or the FID weights as .safetensors with torchvision's names."


def resize_like_tensorflow(images: torch.Tensor, size_px: tuple[int, int] = (INPUT_PX, INPUT_PX)) -> torch.Tensor:
    """(B, C, H, W) float -> (B, C, *size_px): TensorFlow 1's ``resize_bilinear`` with its default settings.

    Sample i of n is taken at i * (side / n): corners are not aligned, and the half-pixel centres of later versions and
    of `torch.nn.functional.interpolate` are not used. Two neighbours each way, also where pictures shrink.
    """
    columns = _between(images, -1, size_px[1])
    return _between(columns, -2, size_px[0])


def _between(images: torch.Tensor, dim: int, size_px: int) -> torch.Tensor:
    side = images.shape[dim]
    at = torch.arange(size_px, device=images.device, dtype=torch.float32) * (side / size_px)
    lower = at.floor().long().clamp_max(side - 1)
    share = (at - lower).to(images.dtype)
    low = images.index_select(dim, lower)
    high = images.index_select(dim, (lower + 1).clamp_max(side - 1))
    return torch.lerp(low, high, share if dim == -1 else share[:, None])


@dataclass(frozen=True)
class InceptionExtractor:
    """`InceptionNetwork`, or a TorchScript graph, as a `FeatureExtractor`."""

    network: nn.Module
    digest: str
    dim: int
    device: torch.device
    name: str = "inception"

    @property
    def resize_rule(self) -> str:
        """How pictures of another size are brought to the network's own."""
        if isinstance(self.network, torch.jit.ScriptModule):
            return "whole picture, resized by the TorchScript file itself"
        return (
            f"bilinear as TensorFlow 1 (no half-pixel centres, no antialiasing), to {INPUT_PX}x{INPUT_PX} px, "
            "whole picture"
        )

    @torch.no_grad()
    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 in [-1, 1] -> (B, d) float32. Features of a picture that is not finite are NaN."""
        values = pixel_values.to(self.device, torch.float32)
        levels = ((values + 1.0) * 127.5).round().clamp(0.0, 255.0)
        if isinstance(self.network, torch.jit.ScriptModule):
            features = self._of_graph(levels)
        else:
            inputs = (resize_like_tensorflow(levels) - 128.0) / 128.0
            features = self.network(inputs.contiguous(memory_format=torch.channels_last))
        finite = torch.isfinite(values).flatten(1).all(dim=1, keepdim=True)
        return features.masked_fill(~finite, float("nan"))

    def _of_graph(self, levels: torch.Tensor) -> torch.Tensor:
        """As StyleGAN calls it: (B, 3, H, W) uint8; it resizes and scales inside."""
        features: torch.Tensor = self.network(torch.nan_to_num(levels).to(torch.uint8), return_features=True)
        return features.flatten(1).to(torch.float32)


def load_inception(
    path: Path, sha256: str, *, name: str = "inception", device: torch.device | str = "cpu"
) -> InceptionExtractor:
    """Open a TorchScript (.pt) or safetensors file whose SHA-256 is ``sha256``.

    Nothing of the file is executed or unpickled before its digest was compared. Raises `ExtractorUnusable` for a wrong
    digest, an unknown form, missing, unknown or ill-shaped weights, and weights that are not finite.
    """
    if path.suffix not in {*_TORCHSCRIPT, _SAFETENSORS}:
        raise unusable(name, f"its file is of an unknown form ({path.suffix!r})", _FORMS, str(path))
    content = read_pinned(path, sha256, name)
    if path.suffix == _SAFETENSORS:
        network = _from_safetensors(content, path, name)
        return InceptionExtractor(network.to(device), sha256.lower(), network.dim, torch.device(device), name)
    graph = _from_torchscript(content, path, name, torch.device(device))
    dim = _dim_of(InceptionExtractor(graph, sha256.lower(), 0, torch.device(device), name), path)
    return InceptionExtractor(graph, sha256.lower(), dim, torch.device(device), name)


def _from_safetensors(content: bytes, path: Path, name: str) -> InceptionNetwork:
    try:
        state = load_safetensors(content)
        check_finite(state.values(), path, name)
        network = network_from(state)
    except (ValueError, SafetensorError) as error:
        raise unusable(name, f"its file does not hold Inception's weights: {error}", _FORMS, str(path)) from error
    # One convolution in place of two layers, and the layout that processors prefer: a third faster.
    for layer in network.modules():
        if isinstance(layer, ConvNorm):
            layer.fold()
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _from_torchscript(content: bytes, path: Path, name: str, device: torch.device) -> nn.Module:
    try:
        with warnings.catch_warnings():
            # Published files are TorchScript; torch reads them and advises against making new ones.
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is", DeprecationWarning)
            graph: Any = torch.jit.load(io.BytesIO(content), map_location=device)
    except (RuntimeError, ValueError) as error:
        raise unusable(name, f"it is no TorchScript file ({_first_line(error)})", _FORMS, str(path)) from error
    check_finite([*graph.parameters(), *graph.buffers()], path, name)
    module: nn.Module = graph.eval()
    return module


def _dim_of(extractor: InceptionExtractor, path: Path) -> int:
    """Number of features, from a trial on one grey picture."""
    try:
        features = extractor(torch.zeros(1, 3, INPUT_PX, INPUT_PX))
    except (RuntimeError, AttributeError, TypeError) as error:
        why = f"it does not take (B, 3, H, W) uint8 and return_features=True ({_first_line(error)})"
        raise unusable(extractor.name, why, _FORMS, str(path)) from error
    if features.ndim != 2 or features.shape[0] != 1 or not bool(torch.isfinite(features).all()):
        raise ExtractorUnusable(
            f"Extractor {extractor.name!r} gave {tuple(features.shape)} or not finite features for one grey picture.",
            field="extractor", remedy=_FORMS,
        )  # fmt: skip
    return int(features.shape[1])


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
