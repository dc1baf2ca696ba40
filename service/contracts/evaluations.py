"""Evaluation: a quality report for any two image sets of one class."""

from typing import Literal

from pydantic import Field

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


class EvaluationRequest(Word):
    """``other`` is scored against ``real``."""

    real: DatasetImages
    other: ImageSet = Field(discriminator="source", json_schema_extra={"required": ["source"]})
    extractor: str | None = Field(default=None, description="A registered name; the service's default when left out.")
    priority: Priority = 0


class EvaluationParams(Word):
    """What an evaluation job's row tells the worker; dataset versions are resolved."""

    evaluation_id: EvaluationId
    request: EvaluationRequest


class EvaluationResult(Word):
    """What a succeeded evaluation job found."""

    quality: QualityReport
    stage_seconds: dict[str, float]
