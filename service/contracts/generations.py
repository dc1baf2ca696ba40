"""Generation: how images are made, what a worker is told, and what it answers."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import Field

from service.contracts.ids import AdapterId, GenerationId, ImageId, Sha256
from service.contracts.quality import QualityReport
from service.contracts.words import Word


class GenerationMode(StrEnum):
    """Start from a partially noised real image of the class (SDEdit), or from pure noise."""

    IMAGE_ORIENTED = "image_oriented"
    FROM_NOISE = "from_noise"


#: A spliced start needs this strength: below it, what is made is a collage of two real pictures.
MIN_SPLICED_STRENGTH = 0.4


class GenerationSettings(Word):
    """How images are made. ``strength`` in (0, 1] and ``splice_sources`` count in ``image_oriented`` mode only."""

    mode: GenerationMode = GenerationMode.IMAGE_ORIENTED
    strength: float = Field(default=0.6, gt=0, le=1)
    guidance_scale: float = Field(default=2.0, ge=1, le=30)
    num_inference_steps: int = Field(default=20, ge=1, le=1000)
    lora_scale: float = Field(default=1.0, ge=0, le=2)
    splice_sources: bool = Field(
        default=False,
        description="Begin as two real images joined where they differ least: a layout that neither of them has. "
        f"Needs a strength of {MIN_SPLICED_STRENGTH} or more, so that both are redrawn.",
    )
    unadapted: bool = Field(
        default=False,
        description="Leave the adapter out and prompt the base model in words: a baseline to compare with.",
    )


class SettingsInCommon(Word):
    """What all classes of a generation are made with; null where they differ, each with what was found for it.

    ``classes[].settings`` has every class's own.
    """

    mode: GenerationMode | None
    strength: float | None
    guidance_scale: float | None
    num_inference_steps: int | None
    lora_scale: float | None
    splice_sources: bool | None
    unadapted: bool | None

    @classmethod
    def of(cls, used: Sequence[GenerationSettings]) -> Self:
        """Of at least one class."""
        first, *others = [one.model_dump() for one in used]
        same = {name: value if all(one[name] == value for one in others) else None for name, value in first.items()}
        return cls.model_validate(same)


class Origin(StrEnum):
    """Who decided a setting: the client, the search after the adaptation, or the base model's registered default."""

    CLIENT = "client"
    SEARCH = "search"
    BASE_MODEL = "base_model"


class GateSettings(Word):
    """Every image is judged; one that fails a gate is counted by its reason and replaced.

    ``copies``: nearer to a real image than real ones are to each other (``copy_percentile`` of their nearest
    distances), in features or in pixels, shifted or mirrored. ``wrong_class``: to a classifier of the data set's real
    images, where it can be trusted, less like the class than nearly all real ones that it has not seen. ``outliers``:
    farther from all real images than real ones are.
    """

    copies: bool = True
    wrong_class: bool = True
    outliers: bool = True
    copy_percentile: float = Field(default=5.0, gt=0, lt=50)
    max_candidates_per_image: float = Field(
        default=5.0, ge=1, le=100, description="The budget: images made at most, for each image asked for."
    )


class GenerationParams(Word):
    """What a generation job's row tells the worker: one class of one generation.

    ``origins``: who decided each setting; empty in a row that an earlier version of the service wrote.
    """

    generation_id: GenerationId
    adapter_id: AdapterId
    class_name: str
    num_images: int
    seed: int
    settings: GenerationSettings
    gates: GateSettings = GateSettings()
    origins: dict[str, Origin] = Field(default_factory=dict)


class GeneratedImage(Word):
    """One synthetic image with its lineage. ``number`` counts from 0 in its generation and class.

    It began as the real image ``source_image_id``, or as that one spliced with ``second_source_image_id``.
    ``candidate``: its place among all that were made, accepted or not. ``nearest_image_id``: the real image it is most
    like; its distances to it are in units of the copy gate's thresholds, so below 1 is a copy.
    """

    class_name: str
    number: int
    sha256: Sha256
    size_bytes: int
    width_px: int
    height_px: int
    mode: str
    seed: int
    source_image_id: ImageId | None
    second_source_image_id: ImageId | None = None
    candidate: int | None = None
    nearest_image_id: ImageId | None = None
    nearest_feature_ratio: float | None = None
    nearest_pixel_ratio: float | None = None

    @property
    def source_image_ids(self) -> list[ImageId]:
        """The real images that it was made from: none, one or two."""
        return [one for one in (self.source_image_id, self.second_source_image_id) if one is not None]

    @property
    def real_image_ids(self) -> list[ImageId]:
        """Every real image that it is told with: its sources, and the nearest one."""
        return [*self.source_image_ids, *([self.nearest_image_id] if self.nearest_image_id is not None else [])]


class Decision(StrEnum):
    """What a person decided about an image. A rejected one is not delivered, and no recognition learns from it."""

    KEEP = "keep"
    REJECT = "reject"


class DecisionState(StrEnum):
    """A decision, or that there is none."""

    KEEP = "keep"
    REJECT = "reject"
    UNDECIDED = "undecided"


class DecidedImage(GeneratedImage):
    """A published image with what was decided about it, when, and by whom: the name of a key, or the tenant's."""

    decision: Decision | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None


class DecisionCounts(Word):
    """The published images of a class, by what was decided about them."""

    keep: int = 0
    reject: int = 0
    undecided: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.keep + self.reject + self.undecided


class GateReport(Word):
    """One gate: whether it judged, and if not, why not. ``figures``: its thresholds and what they stand on.

    Of ``wrong_class``: ``recall`` is the share of the class's ``num_real`` images, ``out_of_fold_accuracy`` that of all
    real ones, which the classifier recognised without having seen them; ``log_odds_threshold`` (natural logarithm) is
    what an image must reach.
    """

    name: str = Field(examples=["copies"])
    on: bool
    reason: str | None = None
    figures: dict[str, float] = Field(default_factory=dict)


class Judging(Word):
    """How the images came about: ``num_candidates`` were made, ``rejected`` by reason, the rest delivered."""

    num_candidates: int
    max_candidates: int
    num_accepted: int
    acceptance_rate: float
    rejected: dict[str, int] = Field(examples=[{"copy": 7, "wrong_class": 1}])
    gates: list[GateReport]


class GenerationSoFar(Word):
    """What a running generation has made, kept in its job's record: ``images`` are accepted, and stored.

    ``made_with``: base model, adapter and extractor, each with its digest: images of others are not gone on from.
    """

    made_with: str
    num_candidates: int
    rejected: dict[str, int]
    images: list[GeneratedImage]


class GenerationResult(Word):
    """What a succeeded generation job made; ``contact_sheet`` is the digest of a PNG, real above synthetic.

    ``closest``: the delivered images most like a real one, nearest first.
    """

    num_images: int
    num_requested: int | None = None
    judging: Judging | None = None
    closest: list[GeneratedImage] = Field(default_factory=list)
    stage_seconds: dict[str, float]
    denoising_steps: int
    sigma_max: float | None = Field(
        default=None,
        description="Noise to signal that the first step begins with; null from noise. Stock diffusers takes the same "
        "steps with `UniPCMultistepScheduler`, `use_karras_sigmas`, this and `sigma_min`, at strength 1.",
    )
    sigma_min: float | None = Field(default=None, description="Noise to signal that the last step begins with.")
    equivalent_strength: float | None = Field(
        default=None, description="Of images made with an earlier solver (DPM-Solver++): null since."
    )
    quality: QualityReport | None
    contact_sheet: Sha256
    warnings: list[str] = Field(default_factory=list)
