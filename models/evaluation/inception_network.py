"""Inception v3 up to its last average pool, as the graph computes it that FID was defined with.

Architecture: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (arXiv 1512.00567), with three
habits of the TensorFlow graph of 2015-12-05: average pools leave padding out of the mean, the last block pools by its
maximum, and batch normalisation uses an epsilon of 0.001. Names of layers are torchvision's, because published weights
use them.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

#: Channels of the first convolution in the published network; all others stand in proportion to it.
STEM_CHANNELS = 32
_POOL3_CHANNELS = 2048
_EPSILON = 1e-3


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, num_in: int, num_out: int, kernel: int | tuple[int, int], stride: int = 1, valid: bool = False):
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid else (sides[0] // 2, sides[1] // 2)
        self.conv = nn.Conv2d(num_in, num_out, sides, stride=stride, padding=padding, bias=False)
        self.bn: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(num_out, eps=_EPSILON)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, C', h', w')."""
        normed: torch.Tensor = self.bn(self.conv(maps))
        return F.relu(normed)

    def fold(self) -> None:
        """Put the normalisation's running statistics into the convolution, which then computes the same alone."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv, self.bn = fuse_conv_bn_eval(self.conv, self.bn), nn.Identity()


class _Widths:
    """Makes layers whose numbers of channels are the published ones times ``stem_channels`` / 32."""

    def __init__(self, stem_channels: int) -> None:
        self._stem_channels = stem_channels

    def of(self, published: int) -> int:
        return published * self._stem_channels // STEM_CHANNELS

    def layer(
        self, num_in: int, num_out: int, kernel: int | tuple[int, int], stride: int = 1, valid: bool = False
    ) -> ConvNorm:
        return ConvNorm(self.of(num_in), self.of(num_out), kernel, stride, valid)


class _Block35(nn.Module):
    """35 x 35 maps; torchvision's InceptionA."""

    def __init__(self, widths: _Widths, num_in: int, num_pooled: int) -> None:
        super().__init__()
        self.branch1x1 = widths.layer(num_in, 64, 1)
        self.branch5x5_1 = widths.layer(num_in, 48, 1)
        self.branch5x5_2 = widths.layer(48, 64, 5)
        self.branch3x3dbl_1 = widths.layer(num_in, 64, 1)
        self.branch3x3dbl_2 = widths.layer(64, 96, 3)
        self.branch3x3dbl_3 = widths.layer(96, 96, 3)
        self.branch_pool = widths.layer(num_in, num_pooled, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        five = self.branch5x5_2(self.branch5x5_1(maps))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch1x1(maps), five, three, self.branch_pool(_average(maps))], dim=1)


class _To17(nn.Module):
    """35 x 35 to 17 x 17 maps; torchvision's InceptionB."""

    def __init__(self, widths: _Widths, num_in: int) -> None:
        super().__init__()
        self.branch3x3 = widths.layer(num_in, 384, 3, stride=2, valid=True)
        self.branch3x3dbl_1 = widths.layer(num_in, 64, 1)
        self.branch3x3dbl_2 = widths.layer(64, 96, 3)
        self.branch3x3dbl_3 = widths.layer(96, 96, 3, stride=2, valid=True)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch3x3(maps), double, _halve(maps)], dim=1)


class _Block17(nn.Module):
    """17 x 17 maps, 7 x 7 convolutions taken apart; torchvision's InceptionC."""

    def __init__(self, widths: _Widths, num_inner: int) -> None:
        super().__init__()
        self.branch1x1 = widths.layer(768, 192, 1)
        self.branch7x7_1 = widths.layer(768, num_inner, 1)
        self.branch7x7_2 = widths.layer(num_inner, num_inner, (1, 7))
        self.branch7x7_3 = widths.layer(num_inner, 192, (7, 1))
        self.branch7x7dbl_1 = widths.layer(768, num_inner, 1)
        self.branch7x7dbl_2 = widths.layer(num_inner, num_inner, (7, 1))
        self.branch7x7dbl_3 = widths.layer(num_inner, num_inner, (1, 7))
        self.branch7x7dbl_4 = widths.layer(num_inner, num_inner, (7, 1))
        self.branch7x7dbl_5 = widths.layer(num_inner, 192, (1, 7))
        self.branch_pool = widths.layer(768, 192, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(maps)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(maps)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(maps), single, double, self.branch_pool(_average(maps))], dim=1)


class _To8(nn.Module):
    """17 x 17 to 8 x 8 maps; torchvision's InceptionD."""

    def __init__(self, widths: _Widths) -> None:
        super().__init__()
        self.branch3x3_1 = widths.layer(768, 192, 1)
        self.branch3x3_2 = widths.layer(192, 320, 3, stride=2, valid=True)
        self.branch7x7x3_1 = widths.layer(768, 192, 1)
        self.branch7x7x3_2 = widths.layer(192, 192, (1, 7))
        self.branch7x7x3_3 = widths.layer(192, 192, (7, 1))
        self.branch7x7x3_4 = widths.layer(192, 192, 3, stride=2, valid=True)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(maps)))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(maps)), self.branch7x7x3_4(seven), _halve(maps)], dim=1)


class _Block8(nn.Module):
    """8 x 8 maps; torchvision's InceptionE. ``pools_by_maximum`` in the graph's last block."""

    def __init__(self, widths: _Widths, num_in: int, pools_by_maximum: bool) -> None:
        super().__init__()
        self._pools_by_maximum = pools_by_maximum
        self.branch1x1 = widths.layer(num_in, 320, 1)
        self.branch3x3_1 = widths.layer(num_in, 384, 1)
        self.branch3x3_2a = widths.layer(384, 384, (1, 3))
        self.branch3x3_2b = widths.layer(384, 384, (3, 1))
        self.branch3x3dbl_1 = widths.layer(num_in, 448, 1)
        self.branch3x3dbl_2 = widths.layer(448, 384, 3)
        self.branch3x3dbl_3a = widths.layer(384, 384, (1, 3))
        self.branch3x3dbl_3b = widths.layer(384, 384, (3, 1))
        self.branch_pool = widths.layer(num_in, 192, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        single = self.branch3x3_1(maps)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(maps))
        pooled = F.max_pool2d(maps, 3, stride=1, padding=1) if self._pools_by_maximum else _average(maps)
        parts = [
            self.branch1x1(maps),
            self.branch3x3_2a(single), self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double),
            self.branch_pool(pooled),
        ]  # fmt: skip
        return torch.cat(parts, dim=1)


class InceptionNetwork(nn.Module):
    """The convolutional part. ``stem_channels`` scales every width; it is even, and 32 in the published network."""

    def __init__(self, stem_channels: int = STEM_CHANNELS) -> None:
        super().__init__()
        widths = _Widths(stem_channels)
        self.dim = widths.of(_POOL3_CHANNELS)
        self.Conv2d_1a_3x3 = ConvNorm(3, stem_channels, 3, stride=2, valid=True)
        self.Conv2d_2a_3x3 = widths.layer(32, 32, 3, valid=True)
        self.Conv2d_2b_3x3 = widths.layer(32, 64, 3)
        self.Conv2d_3b_1x1 = widths.layer(64, 80, 1)
        self.Conv2d_4a_3x3 = widths.layer(80, 192, 3, valid=True)
        self.Mixed_5b = _Block35(widths, 192, 32)
        self.Mixed_5c = _Block35(widths, 256, 64)
        self.Mixed_5d = _Block35(widths, 288, 64)
        self.Mixed_6a = _To17(widths, 288)
        self.Mixed_6b = _Block17(widths, 128)
        self.Mixed_6c = _Block17(widths, 160)
        self.Mixed_6d = _Block17(widths, 160)
        self.Mixed_6e = _Block17(widths, 192)
        self.Mixed_7a = _To8(widths)
        self.Mixed_7b = _Block8(widths, 1280, pools_by_maximum=False)
        self.Mixed_7c = _Block8(widths, 2048, pools_by_maximum=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, 3, 299, 299) float32 in [-1, 1] -> pool3: (B, dim) float32; dim is 2048 in the published network."""
        maps = _halve(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(inputs))))
        maps = _halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(maps)))
        maps = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(maps))))
        maps = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(maps))))
        maps = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps)))
        return torch.mean(maps, dim=(2, 3))


def network_from(state: Mapping[str, torch.Tensor]) -> InceptionNetwork:
    """The network of the width that ``state`` has, with its weights; the classifier's and auxiliary ones are ignored.

    Raises ``ValueError`` for a missing, an unknown or an ill-shaped entry, naming the first of them.
    """
    kept = {name: value.float() for name, value in state.items() if not name.startswith(("fc.", "AuxLogits."))}
    first = kept.get("Conv2d_1a_3x3.conv.weight")
    if first is None:
        raise ValueError("it has no Conv2d_1a_3x3.conv.weight")
    if first.ndim != 4 or first.shape[0] < 2 or first.shape[0] % 2:
        raise ValueError(f"Conv2d_1a_3x3.conv.weight has the shape {tuple(first.shape)}")
    with torch.device("meta"):
        network = InceptionNetwork(first.shape[0])
    expected = network.state_dict()
    # Counters of training steps, which inference does not read and converted files leave out.
    counters = {name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith("num_batches_tracked")}
    _check_names_and_shapes(expected, kept | counters)
    network.load_state_dict(kept | counters, assign=True)
    return network.eval().requires_grad_(False)


def _check_names_and_shapes(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    for name, value in expected.items():
        if name not in found:
            raise ValueError(f"it has no {name}")
        if found[name].shape != value.shape:
            raise ValueError(f"{name} has the shape {tuple(found[name].shape)}, not {tuple(value.shape)}")
    unknown = sorted(found.keys() - expected.keys())
    if unknown:
        raise ValueError(f"it has an unknown entry {unknown[0]}")


def _average(maps: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


def _halve(maps: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(maps, 3, stride=2)
