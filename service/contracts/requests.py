"""What clients send to have work done. Settings that a client leaves out come from the base model's defaults."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from service.contracts.adaptations import AdaptationSettings
from service.contracts.datasets import ClassName
from service.contracts.generations import GateSettings, GenerationSettings
from service.contracts.ids import AdaptationId, AdapterId, DatasetId, GenerationId, VersionId
from service.contracts.jobs import Priority
from service.contracts.recognitions import RecognitionSettings
from service.contracts.words import Word


def whole(value: object) -> object:
    """24.0 is an integer to JSON Schema and to clients that know one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


NumImages = Annotated[int, Field(strict=True, ge=1), BeforeValidator(whole)]
NumImagesByClass = Annotated[
    dict[ClassName, NumImages], Field(min_length=1, json_schema_extra={"additionalProperties": False})
]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class AdaptationRequest(Word):
    """Adapt a base model to classes of a dataset: one job, and in the end one adapter, a class."""

    dataset_id: DatasetId
    dataset_version_id: VersionId | None = Field(default=None, description="The latest version when left out.")
    classes: Annotated[list[ClassName], Field(min_length=1)] | Literal["all"] = "all"
    base_model: str = Field(default="mini", description="A registered name, see GET /v1/base-models.")
    settings: AdaptationSettings = Field(
        default=AdaptationSettings(),
        description="What is left out, field by field, is taken from the base model's registered defaults.",
    )
    priority: Priority = 0


class GenerationRequest(Word):
    """Generate images of classes: one job a class. Name either an adaptation or adapters."""

    adaptation_id: AdaptationId | None = None
    adapter_ids: Annotated[list[AdapterId], Field(min_length=1)] | None = None
    num_images: NumImages | NumImagesByClass = Field(
        description="For each class: one number for all, or a number a class (then only those classes)."
    )
    settings: GenerationSettings = Field(
        default=GenerationSettings(),
        description="What is left out, field by field, is what the adapter's search found, or else the base model's "
        "registered default.",
    )
    gates: GateSettings = GateSettings()
    seed: Seed | None = Field(default=None, description="Drawn and recorded when left out.")
    priority: Priority = 0


class RecognitionRequest(Word):
    """Measure what a generation's images do for a classifier of the dataset's classes. Tested on its test images."""

    dataset_id: DatasetId
    dataset_version_id: VersionId | None = Field(default=None, description="The latest version when left out.")
    generation_id: GenerationId
    classes: Annotated[list[ClassName], Field(min_length=2)] | Literal["all"] = Field(
        default="all", description='"all": every class of the dataset that the generation has images of.'
    )
    settings: RecognitionSettings = RecognitionSettings()
    priority: Priority = 0
