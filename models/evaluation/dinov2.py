"""DINOv2 (Oquab et al., arXiv 2304.07193) through transformers: the class token after the last layer norm.

It was trained without labels, so it is less bound to ImageNet's classes than Inception when pictures are surfaces.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from torch.nn.functional import interpolate
from transformers import Dinov2Model

from models.evaluation.weights_file import check_digest, check_finite, digest_of, unusable

INPUT_PX = 224
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_FILES = ["config.json", "*.safetensors", "*.safetensors.index.json"]
_REMEDY = "Register a Dinov2Model folder: config.json and its weights as safetensors."


@dataclass(frozen=True)
class Dinov2Extractor:
    """A frozen `Dinov2Model` as a `FeatureExtractor`."""

    network: Dinov2Model
    digest: str
    name: str = "dinov2"

    @property
    def dim(self) -> int:
        """Number of features d: the width of the transformer."""
        return int(self.network.config.hidden_size)

    @property
    def resize_rule(self) -> str:
        """How pictures of another size are brought to the network's own."""
        return f"bicubic, antialiased, to {INPUT_PX}x{INPUT_PX} px, whole picture"

    @torch.no_grad()
    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 in [-1, 1] -> (B, d) float32."""
        hidden = self.network(pixel_values=normalised(pixel_values.to(self.network.device))).last_hidden_state
        features: torch.Tensor = hidden[:, 0].float()
        return features


def normalised(pixel_values: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) float in [-1, 1] -> (B, 3, 224, 224) float32 with ImageNet's mean and deviation taken out."""
    values = pixel_values.float()
    if tuple(values.shape[-2:]) != (INPUT_PX, INPUT_PX):
        values = interpolate(values, (INPUT_PX, INPUT_PX), mode="bicubic", antialias=True).clamp(-1.0, 1.0)
    mean, std = (torch.tensor(three, device=values.device).view(3, 1, 1) for three in (_MEAN, _STD))
    return ((values + 1.0) / 2.0 - mean) / std


def load_dinov2(
    path: str, sha256: str, *, name: str = "dinov2", revision: str | None = None, device: torch.device | str = "cpu"
) -> Dinov2Extractor:
    """Open a local folder, or a hub id at a pinned ``revision``, whose weights have the SHA-256 ``sha256``.

    The digest is that of the ``.safetensors`` file; of several, of their bytes one after the other by name. Raises
    `ExtractorUnusable` for a missing folder, a wrong digest, another architecture or incomplete weights.
    """
    folder = _folder(path, revision, name)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise unusable(name, "its folder holds no .safetensors file", _REMEDY, str(folder))
    check_digest(digest_of(weights), sha256, folder, name)
    _check_architecture(folder, name)
    network = _opened(folder, name)
    check_finite(network.state_dict().values(), folder, name)
    return Dinov2Extractor(network.eval().requires_grad_(False).to(device), sha256.lower(), name)


def _folder(path: str, revision: str | None, name: str) -> Path:
    if Path(path).is_dir():
        return Path(path)
    if revision is None:
        raise unusable(name, "its path is no folder", "Correct 'path', or pin the 'revision' of a hub id.", path)
    try:
        return Path(snapshot_download(path, revision=revision, allow_patterns=_FILES))
    except (OSError, ValueError) as error:
        why = f"it cannot be fetched at {revision} ({type(error).__name__})"
        remedy = "Register a local folder where the worker cannot reach the hub."
        raise unusable(name, why, remedy, f"{path}: {error}") from error


def _check_architecture(folder: Path, name: str) -> None:
    """transformers would only warn, and fill what is missing with random numbers."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unusable(name, "its config.json cannot be read", _REMEDY, f"{folder}: {error}") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "dinov2":
        raise unusable(name, f"its folder holds a model of type {kind!r}, not 'dinov2'", _REMEDY, str(folder))


def _opened(folder: Path, name: str) -> Dinov2Model:
    try:
        network, told = Dinov2Model.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise unusable(name, "its folder does not open", _REMEDY, f"{folder}: {error}") from error
    lacking = sorted({*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])})
    if lacking:
        why = f"its weights lack {lacking[0]} or have it in another shape"
        raise unusable(name, why, _REMEDY, str(folder))
    return network
