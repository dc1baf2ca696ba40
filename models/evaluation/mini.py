"""The bundled feature extractor, trained by the recipe of `models.prior` to tell parameters of drawn surfaces apart."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import interpolate

from models.evaluation.weights_file import check_finite, unusable

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class MiniConfig:
    """Size of the network. Features: 2 * channels[0] + channels[-2] + channels[-1] (256 by default)."""

    channels: tuple[int, int, int, int] = (32, 64, 80, 112)
    num_parameters: int = 13
    num_kinds: int = 11
    input_px: int = 128
    norm_groups: int = 8

    @property
    def dim(self) -> int:
        """Number of features d."""
        return 2 * self.channels[0] + self.channels[-2] + self.channels[-1]


class MiniNetwork(nn.Module):
    """Four convolutional stages; features are means and deviations over space.

    The first stage has no normalisation: its mean and standard deviation over space carry brightness, contrast and
    grain, which GroupNorm would take away. The heads are linear, so that what they learn to tell lies in the features
    in a straight line, where a Fréchet distance sees it.
    """

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor

    def __init__(self, config: MiniConfig = MiniConfig()) -> None:
        super().__init__()
        self.config = config
        first, second, third, fourth = config.channels
        self.stem = nn.Sequential(nn.Conv2d(3, first, 5, stride=2, padding=2), nn.ReLU())
        self.stage2 = _stage(first, second, config.norm_groups)
        self.stage3 = _stage(second, third, config.norm_groups)
        self.stage4 = _stage(third, fourth, config.norm_groups)
        self.parameters_head = nn.Linear(config.dim, config.num_parameters)
        self.kinds_head = nn.Linear(config.dim, config.num_kinds)
        self.register_buffer("feature_mean", torch.zeros(config.dim))
        self.register_buffer("feature_scale", torch.ones(config.dim))

    def features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float in [-1, 1] -> (B, d), of mean 0 and variance about 1 over what `calibrate` was given."""
        return (self._pooled(pixel_values) - self.feature_mean) / self.feature_scale

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W) float in [-1, 1] -> surface parameters (B, P) and logits of the kinds (B, K)."""
        pooled = self._pooled(pixel_values)
        return self.parameters_head(pooled), self.kinds_head(pooled)

    @torch.no_grad()
    def calibrate(self, pixel_values: torch.Tensor, batch_size: int = 64) -> None:
        """Set the mean and scale of the features from (N, 3, H, W); the last act of the training.

        The kernel of KID, (x.y / d + 1)^3, presumes features of about unit size, and no feature should rule FID
        because its weights happen to be large. Features that hardly vary are not blown up: the scale has a floor.
        """
        pooled = torch.cat([self._pooled(batch).double() for batch in torch.split(pixel_values, batch_size)])
        deviation = pooled.std(dim=0)
        self.feature_mean.copy_(pooled.mean(dim=0))
        self.feature_scale.copy_(deviation.clamp_min(0.1 * deviation.median().item() + 1e-6))

    def _pooled(self, pixel_values: torch.Tensor) -> torch.Tensor:
        side = self.config.input_px
        if tuple(pixel_values.shape[-2:]) != (side, side):
            pixel_values = interpolate(pixel_values, (side, side), mode="bicubic", antialias=True).clamp(-1.0, 1.0)
        first = self.stem(pixel_values)
        third = self.stage3(self.stage2(first))
        deviation = (first.var(dim=(2, 3), correction=0) + 1e-6).sqrt()
        means = [stage.mean(dim=(2, 3)) for stage in (first, third, self.stage4(third))]
        return torch.cat([deviation, *means], dim=1)


def _stage(num_in: int, num_out: int, groups: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(num_in, num_out, 3, stride=2, padding=1), nn.GroupNorm(groups, num_out), nn.ReLU(),
        nn.Conv2d(num_out, num_out, 3, padding=1), nn.GroupNorm(groups, num_out), nn.ReLU(),
    )  # fmt: skip


@dataclass(frozen=True)
class MiniExtractor:
    """`MiniNetwork` as a `FeatureExtractor`."""

    network: MiniNetwork
    digest: str
    name: str = "mini"

    @property
    def dim(self) -> int:
        """Number of features d."""
        return self.network.config.dim

    @property
    def resize_rule(self) -> str:
        """How pictures of another size are brought to the network's own."""
        side = self.network.config.input_px
        return f"bicubic, antialiased, to {side}x{side} px, whole picture"

    @torch.no_grad()
    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 in [-1, 1] -> (B, d) float32."""
        device = self.network.feature_mean.device
        features: torch.Tensor = self.network.features(pixel_values.to(device, torch.float32))
        return features


def save_mini(network: MiniNetwork, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` into ``folder``; the same weights give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_text(json.dumps(asdict(network.config), indent=2, sort_keys=True) + "\n")
    state = {name: value.detach().to("cpu", torch.float32).contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / _WEIGHTS)


def load_mini(folder: Path, device: torch.device | str = "cpu", name: str = "mini") -> MiniExtractor:
    """Open what `save_mini` wrote. Raises `ExtractorUnusable` when it is missing, damaged or not finite."""
    try:
        config = json.loads((folder / _CONFIG).read_text())
        network = MiniNetwork(MiniConfig(**{**config, "channels": tuple(config["channels"])}))
        network.load_state_dict(load_file(folder / _WEIGHTS))
        digest = hashlib.sha256((folder / _WEIGHTS).read_bytes()).hexdigest()
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        remedy = f"Its folder needs {_CONFIG} and {_WEIGHTS} as the recipe writes them."
        raise unusable(name, "it cannot be opened", remedy, f"{folder}: {error}") from error
    check_finite(network.state_dict().values(), folder, name)
    return MiniExtractor(network.eval().requires_grad_(False).to(device), digest, name)
