"""Top-up: what a classifier still gets wrong becomes a generation request for the weak classes only."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from service.contracts.datasets import ClassName
from service.contracts.ids import AdaptationId, GenerationId, RecognitionId
from service.contracts.quality import Interval
from service.contracts.requests import GenerationRequest, whole
from service.contracts.words import Word

_MOST_CLASSES = 200
Count = Annotated[int, Field(strict=True, ge=0, lt=2**53), BeforeValidator(whole)]
Share = Annotated[float, Field(ge=0, le=1)]


class TopUpRequest(Word):
    """Whose images to add to, and how the classes are told apart so far.

    Name an adaptation, a generation (its images count) or a finished recognition (its generation's images count, and
    what its classifiers got wrong). Of the first two say what your own classifier gets wrong: a matrix with the names
    of its classes, or recalls.
    """

    adaptation_id: AdaptationId | None = None
    generation_id: GenerationId | None = None
    recognition_id: RecognitionId | None = None
    classes: Annotated[list[ClassName], Field(min_length=1, max_length=_MOST_CLASSES)] | None = Field(
        default=None, description="Names of the matrix' rows and columns, in their order."
    )
    confusion_matrix: Annotated[list[list[Count]], Field(min_length=1, max_length=_MOST_CLASSES)] | None = Field(
        default=None, description="Counts of test images: rows are true classes, columns are told ones."
    )
    recall_by_class: (
        Annotated[
            dict[ClassName, Share],
            Field(min_length=1, max_length=_MOST_CLASSES, json_schema_extra={"additionalProperties": False}),
        ]
        | None
    ) = None
    other_classes: list[ClassName] = Field(
        default_factory=list,
        max_length=_MOST_CLASSES,
        description="Classes of your classifier that were never adapted, such as `ok`: nothing is made of them.",
    )
    target_recall: float = Field(default=0.9, gt=0, le=1, description="Classes below it are weak.")


class RatioSource(StrEnum):
    """Where the ratio comes from: a recognition that chose it on validation images, or one for one."""

    RECOGNITION = "recognition"
    USUAL = "usual"


class TopUpClass(Word):
    """One class and why so many images are proposed. ``interval``: of the recall, where its images are known."""

    class_name: str
    recall: float | None
    interval: Interval | None
    num_judged: int | None
    is_weak: bool
    num_images: int
    reason: str


class TopUp(Word):
    """``request`` can be edited and sent to `POST /v1/generations`; null where nothing is proposed.

    ``ratio``: synthetic images for each real train image that a class at the target has; a weak one gets up to twice
    as many.
    """

    request: GenerationRequest | None
    sentence: str
    target_recall: float
    ratio: float
    ratio_source: RatioSource
    classes: list[TopUpClass]
