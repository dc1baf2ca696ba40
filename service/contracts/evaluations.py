"""Evaluation: a quality report of any image set against real images."""

from typing import Literal

from pydantic import Field, field_validator

from service.contracts.datasets import ClassName, Split
from service.contracts.ids import DatasetId, EvaluationId, GenerationId, VersionId
from service.contracts.jobs import Priority
from service.contracts.quality import QualityReport
from service.contracts.words import Word


class DatasetImages(Word):
    """The images of one class and split of a dataset (its latest version unless one is named)."""

    source: Literal["dataset"] = "dataset"
    dataset_id: DatasetId
    dataset_version_id: VersionId | None = None
    class_name: ClassName
    split: Split


class GenerationImages(Word):
    """The synthetic images of one class of a generation."""

    source: Literal["generation"] = "generation"
    generation_id: GenerationId
    class_name: ClassName


ImageSet = DatasetImages | GenerationImages


_NOT_REAL = (
    "a generation has no real images, of which the floors are made. Give a class and split of a dataset here, and the "
    "generation as 'other'; to compare two generations, evaluate each against the same real images."
)


class EvaluationRequest(Word):
    """``other``, real or synthetic, is scored against ``real``: one class and split of a dataset.

    Synthetic images cannot be ``real``. What gives the scores a meaning is made of the reference: the floor of real
    images against each other, and the check for copies of them.
    """

    real: DatasetImages
    other: ImageSet = Field(discriminator="source", json_schema_extra={"required": ["source"]})
    extractor: str | None = Field(default=None, description="A registered name; the service's default when left out.")
    priority: Priority = 0

    @field_validator("real", mode="before")
    @classmethod
    def _is_real(cls, given: object) -> object:
        if isinstance(given, dict) and given.get("source") == "generation":
            raise ValueError(_NOT_REAL)
        return given


class EvaluationParams(Word):
    """What an evaluation job's row tells the worker; dataset versions are resolved."""

    evaluation_id: EvaluationId
    request: EvaluationRequest


class EvaluationResult(Word):
    """What a succeeded evaluation job found."""

    quality: QualityReport
    stage_seconds: dict[str, float]
