"""Generation: how images are made, what a worker is told, and what it answers."""

from enum import StrEnum

from pydantic import Field

from service.contracts.ids import AdapterId, GenerationId, ImageId, Sha256
from service.contracts.quality import QualityReport
from service.contracts.words import Word


class GenerationMode(StrEnum):
    """Start from a partially noised real image of the class (SDEdit), or from pure noise."""

    IMAGE_ORIENTED = "image_oriented"
    FROM_NOISE = "from_noise"


class GenerationSettings(Word):
    """How images are made. ``strength`` in (0, 1] counts in ``image_oriented`` mode only."""

    mode: GenerationMode = GenerationMode.IMAGE_ORIENTED
    strength: float = Field(default=0.6, gt=0, le=1)
    guidance_scale: float = Field(default=2.0, ge=1, le=30)
    num_inference_steps: int = Field(default=20, ge=1, le=1000)
    lora_scale: float = Field(default=1.0, ge=0, le=2)
    unadapted: bool = Field(
        default=False,
        description="Leave the adapter out and prompt the base model in words: a baseline to compare with.",
    )


class GenerationParams(Word):
    """What a generation job's row tells the worker: one class of one generation."""

    generation_id: GenerationId
    adapter_id: AdapterId
    class_name: str
    num_images: int
    seed: int
    settings: GenerationSettings


class GeneratedImage(Word):
    """One synthetic image with its lineage. ``number`` counts from 0 in its generation and class."""

    class_name: str
    number: int
    sha256: Sha256
    size_bytes: int
    width_px: int
    height_px: int
    mode: str
    seed: int
    source_image_id: ImageId | None


class GenerationResult(Word):
    """What a succeeded generation job made; ``contact_sheet`` is the digest of a PNG, real above synthetic."""

    num_images: int
    stage_seconds: dict[str, float]
    denoising_steps: int
    equivalent_strength: float | None = Field(
        default=None, description="The strength by which stock diffusers takes as many denoising steps."
    )
    quality: QualityReport | None
    contact_sheet: Sha256
    warnings: list[str] = Field(default_factory=list)
