"""The settings of an adaptation."""

from dataclasses import dataclass, field

from models.imaging.fit import FitPolicy


@dataclass(frozen=True)
class TextualInversionConfig:
    """Stage 1. ``initializer_text``: words whose mean embedding the placeholder token starts from."""

    steps: int = 150
    learning_rate: float = 5e-3
    batch_size: int = 8
    initializer_text: str = "defect"


@dataclass(frozen=True)
class LoraTrainingConfig:
    """Stage 2: one rank for both networks, a learning rate for each."""

    steps: int = 300
    learning_rate: float = 1e-3
    text_encoder_learning_rate: float = 3e-4
    batch_size: int = 8
    rank: int = 16
    lora_alpha: float = 16.0


@dataclass(frozen=True)
class AdaptationConfig:
    """Everything that decides an adapter, besides images and base model.

    ``variants_per_image``: flipped and slightly shifted copies of each image whose latents are cached.
    ``num_kept``: adapters kept along each stage, evenly spaced and with its end, for a search to choose from.
    """

    textual_inversion: TextualInversionConfig = field(default_factory=TextualInversionConfig)
    lora: LoraTrainingConfig = field(default_factory=LoraTrainingConfig)
    fit: FitPolicy = FitPolicy.RESIZE
    seed: int = 0
    variants_per_image: int = 8
    num_kept: int = 1


#: Fewer real images than this cannot describe a class.
MIN_TRAIN_IMAGES = 4
