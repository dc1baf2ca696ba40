"""Stable Diffusion 1.5 and 2.1 in their real shapes with random weights: what they cost, not what they can draw.

Shapes as in the published models' configurations. The tokenizer has CLIP's number of tokens and length, all made up.
"""

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

_NUM_TOKENS, _MAX_TOKENS = 49_408, 77
_PIXELS_A_LATENT = 8
#: What a stock pipeline finds the parts by.
_INDEX = {
    "_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    "safety_checker": [None, None], "feature_extractor": [None, None], "image_encoder": [None, None],
    "requires_safety_checker": False,
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What tells one Stable Diffusion from the other. ``heads``: diffusers' ``attention_head_dim``."""

    side_px: int
    prediction_type: str
    heads: int | list[int]
    use_linear_projection: bool
    text: dict[str, int | str]

    @property
    def text_width(self) -> int:
        """Width of the text encoder, which the U-Net attends to."""
        return int(self.text["hidden_size"])


SHAPES = {
    "sd15": Shape(512, "epsilon", 8, False, {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "hidden_act": "quick_gelu", "projection_dim": 768,
    }),
    "sd21": Shape(768, "v_prediction", [5, 10, 20, 20], True, {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16,
        "hidden_act": "gelu", "projection_dim": 512,
    }),
}  # fmt: skip


def build(name: str, folder: Path, dtype: torch.dtype, side_px: int) -> Path:
    """Write the folder, one network after the other; nothing where it is there already."""
    if (folder / "complete").exists():
        return folder
    torch.manual_seed(0)
    shape = SHAPES[name]
    _tokenizer().save_pretrained(folder / "tokenizer")
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1, prediction_type=shape.prediction_type,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    networks: dict[str, Callable[[], torch.nn.Module]] = {
        "text_encoder": lambda: _text_encoder(shape),
        "vae": _vae,
        "unet": lambda: _unet(shape, side_px),
    }
    for part, made in networks.items():
        network = made().to(dtype)
        network.save_pretrained(folder / part, safe_serialization=True)  # type: ignore[operator]
        del network
        gc.collect()
    (folder / "model_index.json").write_text(json.dumps(_INDEX), encoding="utf-8")
    (folder / "complete").touch()
    return folder


def _tokenizer() -> CLIPTokenizer:
    """Every byte, then words that nobody writes, then the start and the end, at CLIP's places."""
    letters = sorted(ByteLevel.alphabet())
    spelled = [*letters, *(f"{letter}</w>" for letter in letters)]
    made_up = [f"qx{number}</w>" for number in range(_NUM_TOKENS - 2 - len(spelled))]
    tokens = [*spelled, *made_up, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=_MAX_TOKENS)


def _text_encoder(shape: Shape) -> CLIPTextModel:
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=_NUM_TOKENS, max_position_embeddings=_MAX_TOKENS, bos_token_id=_NUM_TOKENS - 2,
        eos_token_id=_NUM_TOKENS - 1, pad_token_id=_NUM_TOKENS - 1, **shape.text,
    ))  # fmt: skip


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, norm_num_groups=32,
        sample_size=512, scaling_factor=0.18215,
    )  # fmt: skip


def _unet(shape: Shape, side_px: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=side_px // _PIXELS_A_LATENT, in_channels=4, out_channels=4, layers_per_block=2,
        block_out_channels=(320, 640, 1280, 1280),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=shape.text_width, attention_head_dim=shape.heads, norm_num_groups=32,
        use_linear_projection=shape.use_linear_projection,
    )  # fmt: skip
