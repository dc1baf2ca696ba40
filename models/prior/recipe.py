"""What the recipe is: sizes, networks, seeds and rates of the bundled base model, in one place."""

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel


@dataclass(frozen=True)
class Recipe:
    """What the training's cost and outcome hang on most. Shares are fractions of the minutes on the command line."""

    seed: int = 20240501
    resolution_px: int = 128
    num_surfaces: int = 24_576
    latent_channels: int = 4
    max_tokens: int = 32
    text_width: int = 128
    caption_dropout: float = 0.1
    vae_crop_px: int = 64
    vae_batch: int = 16
    vae_lr: float = 1e-3
    vae_kl_weight: float = 1e-5
    vae_spectrum_weight: float = 0.1
    decoder_crop_px: int = 96
    decoder_batch: int = 8
    decoder_lr: float = 5e-4
    decoder_power_weight: float = 0.2
    decoder_evenness_weight: float = 0.5
    extractor_batch: int = 48
    extractor_lr: float = 1e-3
    denoiser_batch: int = 32
    denoiser_lr: float = 8e-4
    cooldown_share: float = 0.25
    min_snr_gamma: float = 5.0
    ema_decay: float = 0.9995
    checkpoint_seconds: float = 120.0
    vae_share: float = 0.1
    decoder_share: float = 0.075
    extractor_share: float = 0.05


def build_vae(recipe: Recipe) -> AutoencoderKL:
    """f = 4 convolutional autoencoder: grain survives it, and a decoder this small is trained in minutes.

    Four latent channels, because stock img2img pipelines take an ``image`` of four channels for latents.
    """
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 96),
        layers_per_block=1,
        latent_channels=recipe.latent_channels,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=recipe.resolution_px,
    )


def build_unet(recipe: Recipe) -> UNet2DConditionModel:
    """11.0 M parameters. No attention on the finest grid, none to itself on the second, where it costs most on a CPU.

    On the second the text is attended to, so that low-rank matrices in attention layers reach finer grain than the two
    coarsest grids alone would let them.
    """
    return UNet2DConditionModel(
        sample_size=recipe.resolution_px // 4,
        in_channels=recipe.latent_channels,
        out_channels=recipe.latent_channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        only_cross_attention=(False, True, False, False),
        block_out_channels=(32, 64, 128, 192),
        layers_per_block=1,
        cross_attention_dim=recipe.text_width,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def build_text_encoder(recipe: Recipe, vocab_size: int, bos: int, eos: int) -> CLIPTextModel:
    """A small CLIP text encoder, trained together with the U-Net."""
    config = CLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=recipe.text_width,
        intermediate_size=4 * recipe.text_width,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=recipe.max_tokens,
        projection_dim=recipe.text_width,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=eos,
    )
    return CLIPTextModel(config)


#: The noise schedule: Stable Diffusion's betas brought to zero terminal SNR (arXiv 2305.08891), so that overall
#: brightness is the model's to decide; that needs v-prediction and trailing timesteps.
NOISE_SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
    "steps_offset": 1,
}


def seeded(seed: int) -> torch.Generator:
    """A CPU generator at ``seed``."""
    return torch.Generator().manual_seed(seed)
