"""Recognition: do synthetic images help a classifier? What is trained, on what, and what came of it."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from service.contracts.datasets import ClassName, Split
from service.contracts.ids import GenerationId, ImageId, RecognitionId, VersionId
from service.contracts.quality import Estimate, Interval
from service.contracts.words import Word

#: The classifier that is always there: a small ResNet from random weights.
SMALL_RESNET = "small_resnet"
Ratio = Annotated[float, Field(gt=0, le=20)]


class Arm(StrEnum):
    """What a classifier is trained on: real images alone, the same augmented, or with synthetic ones beside them.

    ``real_plus_synthetic`` is augmented as ``real_augmented`` is, and every arm takes the same number of steps.
    """

    REAL_ONLY = "real_only"
    REAL_AUGMENTED = "real_augmented"
    REAL_PLUS_SYNTHETIC = "real_plus_synthetic"


class Verdict(StrEnum):
    """Of ``real_plus_synthetic`` against ``real_augmented``, by the 95 % interval of the lift."""

    GAIN_SHOWN = "gain_shown"
    NO_GAIN_SHOWN = "no_gain_shown"
    HARM_SHOWN = "harm_shown"


class RecognitionSettings(Word):
    """How classifiers are trained and compared. ``ratios``: synthetic images for each real train image of a class."""

    ratios: Annotated[list[Ratio], Field(min_length=1, max_length=8)] = Field(
        default=[0.5, 1.0, 2.0], json_schema_extra={"uniqueItems": True}
    )
    num_seeds: int = Field(default=5, ge=2, le=50, description="Classifiers trained for each arm that is tested.")
    num_selection_seeds: int = Field(
        default=4, ge=1, le=50,
        description="Classifiers trained for each ratio tried. Where a class has fewer than 8 validation "
        "images each holds out another part of the train images, a quarter at most.",
    )  # fmt: skip
    steps: int = Field(default=500, ge=1, le=50_000, description="Optimiser steps, the same in every arm.")
    batch_size: int = Field(default=32, ge=2, le=512)
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    image_size_px: int = Field(default=64, ge=16, le=512, description="Images are fitted to a square of this side.")
    max_synthetic_share: float = Field(
        default=0.5, gt=0, lt=1,
        description="Of a class's draws at most this share is synthetic: more images bring variety, and never push the "
        "real ones out.",
    )  # fmt: skip
    classifier: str = Field(
        default=SMALL_RESNET,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="A registered name; the operator registers pretrained ones.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _refuse_equal_ratios(self) -> Self:
        if len(set(self.ratios)) < len(self.ratios):
            raise ValueError("ratios holds a value twice; name each ratio once")
        return self


class RecognitionParams(Word):
    """What a recognition job's row tells the worker. ``notes``: what was left out when it was accepted.

    ``rejected``: by class, the numbers of the images that were rejected then; what is decided later changes nothing.
    """

    recognition_id: RecognitionId
    dataset_version_id: VersionId
    generation_id: GenerationId
    classes: list[ClassName]
    settings: RecognitionSettings
    notes: list[str] = Field(default_factory=list)
    rejected: dict[ClassName, list[int]] = Field(default_factory=dict)


class RatioTried(Word):
    """One ratio of the sweep: the mean accuracy of its classifiers on the validation images."""

    ratio: float
    num_synthetic: int
    validation_accuracy: float
    validation_log_loss: float | None = Field(default=None, description="Decides between ratios of equal accuracy.")


class ArmResult(Word):
    """One arm on the test images, over all seeds. ``ratio``: the chosen one; null where no synthetic image is used.

    ``confusion``: rows are true classes, columns are told ones, in the order of ``classes``; counts of all seeds
    together. ``runs_accuracy``: one value a seed; the same seeds, in the same order, in every arm.
    """

    arm: Arm
    ratio: float | None
    num_real: int
    num_synthetic: int
    accuracy: Estimate
    macro_f1: Estimate
    recall: dict[str, float]
    confusion: list[list[int]]
    runs_accuracy: list[float]


class Lift(Word):
    """How much ``arm`` is above ``over``, as a share (0.03 is 3 points), paired by seed and test image."""

    arm: Arm
    over: Arm
    metric: str = Field(examples=["accuracy"])
    value: float
    interval: Interval


class TellingImage(Word):
    """A test image that arms disagree on. ``share_right``: of an arm's classifiers, that told its class."""

    image_id: ImageId
    class_name: str
    share_right: dict[Arm, float]


class RecognitionResult(Word):
    """What a succeeded recognition job found. ``verdict`` is of real_plus_synthetic over real_augmented."""

    classes: list[str]
    classifier: str
    verdict: Verdict
    sentence: str
    is_inconclusive: bool = Field(
        default=False,
        description="True where the classifiers did not learn, or test images are too few or too easy: neither "
        "`verdict` nor a lift says anything then.",
    )  # fmt: skip
    chosen_ratio: float
    selection: list[RatioTried]
    selection_split: Split = Field(
        default=Split.VALIDATION,
        description="Where the ratio was chosen: `train` are images held out for it for want of validation images.",
    )
    arms: list[ArmResult]
    lifts: list[Lift]
    num_images: dict[str, dict[Split, int]] = Field(examples=[{"scratches": {"train": 20, "validation": 5, "test": 5}}])
    num_synthetic_images: dict[str, int]
    telling_images: list[TellingImage]
    stage_seconds: dict[str, float]
    notes: list[str] = Field(default_factory=list)


class RecognitionRun(Word):
    """One trained classifier: what it told of each image it was asked about, as indices into the classes."""

    purpose: str = Field(examples=["selection"])
    arm: Arm
    ratio: float
    seed: int
    told: list[int]
    log_loss: float
    training_loss: float
    steps: int
    num_real: int
    num_synthetic: int
    seconds: float


class RecognitionSoFar(Word):
    """The classifiers a running recognition has trained; kept in its job's record, so that another worker goes on.

    ``made_with``: what they were begun from, with its digest: classifiers of others cannot be compared.
    """

    made_with: str = ""

    runs: list[RecognitionRun]
