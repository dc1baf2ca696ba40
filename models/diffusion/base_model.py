"""The base model: any Stable Diffusion 1.x / 2.x folder or hub id in diffusers' format, safetensors only, frozen."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from models.diffusion.precision import compute_in_bfloat16, has_bfloat16
from models.errors import BaseModelUnusable

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_LEAST_IMAGES = 8
_POSITIONS = 24 * 32 * 32


@dataclass
class BaseModel:
    """The frozen components of one Stable Diffusion checkpoint on one device.

    ``noise_scheduler`` holds the training noise schedule; solvers for generation are made from its configuration.
    ``name``, ``revision`` and ``precision`` are what lineage records.
    """

    name: str
    revision: str
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    vae: AutoencoderKL
    unet: UNet2DConditionModel
    noise_scheduler: DDPMScheduler
    device: torch.device
    dtype: torch.dtype
    autocast: torch.dtype | None = None

    @property
    def precision(self) -> str:
        """What it computes with: the dtype of its weights, or that which they are cast to for every product."""
        return _name(self.dtype) if self.autocast is None else f"{_name(self.autocast)} autocast"

    @property
    def identity(self) -> str:
        """All that decides its numbers: what was begun with one identity is not gone on with under another."""
        return f"{self.name}@{self.revision} in {self.precision}"

    @property
    def vae_scale_factor(self) -> int:
        """Pixels per latent, along one side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def native_size_px(self) -> int:
        """Side of the square images the model was trained on."""
        return int(self.unet.config.sample_size) * self.vae_scale_factor

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one native-size image's latents."""
        side = int(self.unet.config.sample_size)
        return int(self.unet.config.in_channels), side, side

    @property
    def batch_size(self) -> int:
        """Images to make at once: as many positions of latents as fill a processor, and eight images at least.

        `tests/benchmarks/row_cost.py` measures what a row costs by the rows of its call.
        """
        _, height, width = self.latent_shape
        return max(_LEAST_IMAGES, _POSITIONS // (height * width))

    def wait(self) -> None:
        """Until the device has done all that it was asked for: a GPU answers before that, and no time is true."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @property
    def prediction_type(self) -> str:
        """What the U-Net predicts: ``epsilon``, ``v_prediction`` or ``sample``."""
        return str(self.noise_scheduler.config.prediction_type)

    def token_ids(self, text: str, tokenizer: CLIPTokenizer | None = None) -> torch.Tensor:
        """``text`` padded and truncated as stock pipelines do it: (1, L) int64 on the device."""
        tokenizer = tokenizer or self.tokenizer
        encoded = tokenizer(
            text, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
        )
        return torch.as_tensor(encoded.input_ids).to(self.device)

    @torch.no_grad()
    def encode_prompt(self, text: str) -> torch.Tensor:
        """The frozen text encoder's embedding of ``text``: (1, L, D) float32."""
        return torch.as_tensor(self.text_encoder(self.token_ids(text))[0]).float()


def load_base_model(
    path: str, *, revision: str | None = None, device: str = "cpu", dtype: str = "float32", name: str = "",
    bfloat16_on_cpu: bool = False, gradient_checkpointing: bool = False,
) -> BaseModel:  # fmt: skip
    """Open a Stable Diffusion folder, or a hub id at a pinned ``revision``.

    ``dtype``: ``float32``, ``bfloat16`` or ``float16``. ``bfloat16_on_cpu``: compute float32 weights in bfloat16 where
    the device is a CPU with instructions for it (`models.diffusion.precision`), else as they are.
    ``gradient_checkpointing`` (Chen et al. 2016): training keeps what enters a block of the U-Net, not what is in it,
    and computes the block again on the way back: less memory, more time, the same adapter but for rounding. Pickled
    weights are never read and a safety checker never loaded. Raises ``BaseModelUnusable`` for a missing, incomplete or
    unfitting model.
    """
    if dtype not in _DTYPES:
        raise BaseModelUnusable(
            f"dtype {dtype!r} is not known.", field="dtype", remedy=f"Use one of {sorted(_DTYPES)}."
        )
    source: dict[str, Any] = {"revision": revision}
    weights: dict[str, Any] = source | {"use_safetensors": True}
    try:
        tokenizer = CLIPTokenizer.from_pretrained(path, subfolder="tokenizer", **source)
        text_encoder = CLIPTextModel.from_pretrained(path, subfolder="text_encoder", dtype=_DTYPES[dtype], **weights)
        vae = AutoencoderKL.from_pretrained(path, subfolder="vae", torch_dtype=_DTYPES[dtype], **weights)
        unet = UNet2DConditionModel.from_pretrained(path, subfolder="unet", torch_dtype=_DTYPES[dtype], **weights)
        noise_scheduler = DDPMScheduler.from_pretrained(path, subfolder="scheduler", **source)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise BaseModelUnusable(
            f"{name or path} does not open as a Stable Diffusion model ({type(error).__name__}).",
            field="base_model",
            remedy="Register a complete diffusers folder with safetensors weights.",
            detail=f"{path}: {error}",
        ) from error
    frozen = torch.device(device)
    for module in (text_encoder, vae, unet):
        module.requires_grad_(False).eval().to(frozen)
    if gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    is_cast = bfloat16_on_cpu and dtype == "float32" and has_bfloat16(frozen)
    if is_cast:
        compute_in_bfloat16(unet, vae)
    base = BaseModel(
        name or path,
        _revision(path, revision),
        tokenizer,
        text_encoder,
        vae,
        unet,
        noise_scheduler,
        frozen,
        _DTYPES[dtype],
        torch.bfloat16 if is_cast else None,
    )
    _check_fit(base)
    return base


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _revision(path: str, revision: str | None) -> str:
    """The pinned revision, or the digest a bundled folder's manifest states."""
    manifest = Path(path) / "manifest.json"
    if revision is None and manifest.is_file():
        return str(json.loads(manifest.read_text())["revision"])
    return revision or "unpinned"


def _check_fit(base: BaseModel) -> None:
    channels = int(base.vae.config.latent_channels)
    if base.unet.config.in_channels != channels:
        raise BaseModelUnusable(
            f"{base.name}: the U-Net takes {base.unet.config.in_channels} channels and the VAE makes {channels}.",
            field="base_model",
            remedy="Register a text-to-image model; inpainting and depth models cannot be adapted.",
        )
    if base.unet.config.cross_attention_dim != base.text_encoder.config.hidden_size:
        raise BaseModelUnusable(
            f"{base.name}: the U-Net's cross-attention does not fit the text encoder.",
            field="base_model",
            remedy="Register a Stable Diffusion 1.x or 2.x model.",
        )
