"""The settings of a generation."""

from dataclasses import dataclass
from enum import StrEnum

from models.errors import InvalidSettings

#: Below this strength a spliced start comes out as a collage of two real pictures, which are then hardly redrawn.
MIN_SPLICED_STRENGTH = 0.4


class GenerationMode(StrEnum):
    """Where an image starts from: a partially noised real image (SDEdit), or pure noise."""

    IMAGE_ORIENTED = "image_oriented"
    FROM_NOISE = "from_noise"


@dataclass(frozen=True)
class GenerationConfig:
    """How images are made. ``guidance_scale`` 1 = no guidance.

    In ``image_oriented`` mode only: ``strength``, and ``splice_sources``: begin as two sources spliced, not as one, at
    a strength of `MIN_SPLICED_STRENGTH` or more.
    """

    mode: GenerationMode = GenerationMode.IMAGE_ORIENTED
    strength: float = 0.6
    guidance_scale: float = 2.0
    num_inference_steps: int = 20
    batch_size: int = 8
    splice_sources: bool = False

    def __post_init__(self) -> None:
        if self.guidance_scale < 1:
            raise InvalidSettings(
                f"guidance_scale {self.guidance_scale} is below 1.", field="guidance_scale", remedy="Give 1 or more."
            )
        is_spliced = self.splice_sources and self.mode is GenerationMode.IMAGE_ORIENTED
        if is_spliced and self.strength < MIN_SPLICED_STRENGTH:
            raise InvalidSettings(
                f"At strength {self.strength:g} spliced sources are hardly redrawn.", field="strength",
                remedy=f"Give {MIN_SPLICED_STRENGTH} or more, or do not splice.",
            )  # fmt: skip
        if self.batch_size < 1:
            raise InvalidSettings("batch_size is below 1.", field="batch_size", remedy="Give 1 or more.")
