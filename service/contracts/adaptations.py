"""Adaptation: its settings, what a worker is told, and what it answers."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from service.contracts.generations import GenerationSettings
from service.contracts.ids import AdaptationId, AdapterId, VersionId
from service.contracts.jobs import Footprint
from service.contracts.search import FoundSettings, SearchReport, SearchSettings
from service.contracts.words import Word


class FitPolicy(StrEnum):
    """How an image of any size becomes the base model's square."""

    RESIZE = "resize"
    CENTER_CROP = "center_crop"


class TextualInversionSettings(Word):
    """Stage 1 (Gal et al. 2022): only the placeholder token's embedding is trained. ``steps`` 0 skips the stage.

    These defaults are usual for Stable Diffusion; a base model's registered ones come before them.
    """

    steps: int = Field(default=500, ge=0, le=20_000)
    learning_rate: float = Field(default=5e-4, gt=0, le=1)
    batch_size: int = Field(default=4, ge=1, le=64)
    initializer_text: str = Field(default="defect", min_length=1, max_length=64)


class LoraSettings(Word):
    """Stage 2 (Hu et al. 2021): low-rank matrices in the attention of text encoder and U-Net. ``steps`` 0 skips it.

    These defaults are usual for Stable Diffusion; a base model's registered ones come before them.
    """

    steps: int = Field(default=500, ge=0, le=50_000)
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    text_encoder_learning_rate: float = Field(default=5e-5, gt=0, le=1)
    batch_size: int = Field(default=4, ge=1, le=64)
    rank: int = Field(default=16, ge=1, le=256)
    lora_alpha: float = Field(default=16, gt=0, le=1024)


class AdaptationSettings(Word):
    """Everything that decides an adapter, besides its images and its base model."""

    textual_inversion: TextualInversionSettings = TextualInversionSettings()
    lora: LoraSettings = LoraSettings()
    search: SearchSettings = SearchSettings()
    fit: FitPolicy = FitPolicy.RESIZE
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _refuse_to_train_nothing(self) -> Self:
        if self.textual_inversion.steps == 0 and self.lora.steps == 0:
            raise ValueError("textual_inversion.steps and lora.steps are both 0: nothing would be trained; raise one")
        return self


class AdaptationParams(Word):
    """What an adaptation job's row tells the worker; ``generation``: the base model's registered settings."""

    adaptation_id: AdaptationId
    dataset_version_id: VersionId
    class_name: str
    base_model: str
    settings: AdaptationSettings
    generation: GenerationSettings = GenerationSettings()


class CurvePoint(Word):
    """One point of a loss curve."""

    stage: str
    step: int
    loss: float


class AdaptationResult(Word):
    """What a succeeded adaptation job made."""

    adapter_id: AdapterId
    num_train_images: int
    checkpoint: str | None = Field(default=None, examples=["lora@250"], description="How far it had been trained.")
    found: FoundSettings | None = Field(default=None, description="By the search; a generation's default.")
    stage_seconds: dict[str, float]
    loss_curve: list[CurvePoint]
    search: SearchReport | None = None
    warnings: list[str] = Field(default_factory=list)
    footprint: Footprint | None = None
