"""What the service answers, typed. Fields that a newer service adds are kept, too, and can be read as attributes."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from defectsynth_client.quality import (
    AdaptationResult,
    EvaluationResult,
    GenerationResult,
    LossPoint,
    RecognitionResult,
    Trial,
)

T = TypeVar("T")


class Answer(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(frozen=True, extra="allow")


class State(StrEnum):
    """Of a job, or of several taken together: ``queued -> running -> succeeded | failed | canceled``."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether it will never change again."""
        return self not in (State.QUEUED, State.RUNNING)


class Page(Answer, Generic[T]):
    """Some of a list; ``next_cursor`` is None on the last page."""

    items: list[T]
    next_cursor: str | None = None


class RefusedImage(Answer):
    """A file of an upload that was not accepted: why, and what to do about it."""

    filename: str
    code: str
    reason: str
    remedy: str


class Problem(Answer):
    """RFC 9457: what the service says where it cannot do what was asked."""

    title: str
    code: str
    detail: str
    field: str | None = None
    remedy: str | None = None
    request_id: str | None = None
    refused: list[RefusedImage] | None = None


class DatasetWarning(Answer):
    """Something about accepted images that a person should know."""

    code: str
    class_name: str | None
    message: str


class DatasetVersion(Answer):
    """One immutable version of a dataset."""

    id: str
    number: int
    created_at: datetime


class DatasetSummary(Answer):
    """A dataset in a list."""

    id: str
    name: str
    created_at: datetime
    links: dict[str, str]


class Dataset(DatasetSummary):
    """A dataset in one version. ``classes``: how many images, by class and then by split."""

    version: DatasetVersion
    num_images: int
    classes: dict[str, dict[str, int]]
    warnings: list[DatasetWarning]


class Receipt(Dataset):
    """What became of an upload: the dataset as it is now, and each refused file with its reason."""

    accepted: int
    refused: list[RefusedImage]


class RealImage(Answer):
    """One real image as it is kept."""

    id: str
    class_name: str
    filename: str
    sha256: str
    split: str
    group: str | None
    width_px: int
    height_px: int
    links: dict[str, str]


class Progress(Answer):
    """Where a running job is. ``fraction`` in [0, 1] is of the whole job, ``step`` of ``total`` of its stage."""

    stage: str
    step: int
    total: int
    fraction: float
    seconds_left: float | None = None
    figures: dict[str, float] = Field(default_factory=dict)


class JobFailure(Answer):
    """Why a job failed, in words a person can act on."""

    code: str
    message: str
    remedy: str
    retryable: bool = False


class Work(Answer):
    """What can be waited for: a job, or a resource with its jobs."""

    id: str
    state: State
    created_at: datetime
    links: dict[str, str]

    @property
    @abstractmethod
    def all_jobs(self) -> Sequence["Job"]:
        """Its jobs, one a class."""


class Job(Work):
    """One job: one class of an adaptation or generation, an evaluation, or a recognition."""

    kind: str
    resource_id: str
    class_name: str
    progress: Progress | None = None
    # Each has a required field that those behind it lack, so the first that fits is the right one.
    result: RecognitionResult | AdaptationResult | GenerationResult | EvaluationResult | None = Field(
        default=None, union_mode="left_to_right"
    )
    failure: JobFailure | None = None
    queue_position: int | None = None
    seconds_left: float | None = None
    attempts: int
    revision: int
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def all_jobs(self) -> Sequence["Job"]:
        """Itself."""
        return [self]

    def __str__(self) -> str:
        """Where it stands, in a line."""
        if self.state is not State.RUNNING or self.progress is None:
            place = f", {self.queue_position}. in line" if self.queue_position else ""
            return f"{self.class_name}: {self.state}{place}"
        stage, left = self.progress.stage.replace("_", " "), self.seconds_left
        told_left = f", about {left:.0f} s left" if left is not None else ""
        return f"{self.class_name}: {self.progress.fraction:.0%}, {stage}{told_left}"


class Adapter(Answer):
    """A trained adapter of one class."""

    id: str
    adaptation_id: str
    class_name: str
    base_model: str
    size_bytes: int
    archive_sha256: str
    checkpoint: str | None
    created_at: datetime
    links: dict[str, str]


class _WithJobs(Work):
    jobs: list[Job]

    @property
    def all_jobs(self) -> Sequence[Job]:
        """Its jobs, one a class."""
        return self.jobs


class Adaptation(_WithJobs):
    """A base model adapted to classes of a dataset. By class, ``trials``: what the search has tried so far; ``losses``:
    a thinned curve, until the job has succeeded and its ``result`` has the whole one."""

    dataset_id: str
    dataset_version_id: str
    base_model: str
    adapters: list[Adapter]
    trials: dict[str, list[Trial]]
    losses: dict[str, list[LossPoint]] = Field(default_factory=dict)


class Decision(StrEnum):
    """What a person decided about an image. A rejected one is not delivered, and no recognition learns from it."""

    KEEP = "keep"
    REJECT = "reject"


class DecisionState(StrEnum):
    """A decision, or that there is none."""

    KEEP = "keep"
    REJECT = "reject"
    UNDECIDED = "undecided"


class DecisionCounts(Answer):
    """The published images of a class, by what was decided about them."""

    keep: int = 0
    reject: int = 0
    undecided: int = 0


class Decisions(Answer):
    """What is decided about a generation's images now, by class."""

    generation_id: str
    decisions: dict[str, DecisionCounts]


class GenerationClass(Answer):
    """One class of a generation; ``num_published`` images can be fetched now."""

    class_name: str
    adapter_id: str
    num_images: int
    num_published: int
    decisions: DecisionCounts = Field(default_factory=DecisionCounts)
    seed: int
    links: dict[str, str]


class Generation(_WithJobs):
    """Synthetic images of classes."""

    seed: int
    classes: list[GenerationClass]


class Evaluation(_WithJobs):
    """A quality report of any image set against real images; ``result`` is there when it has succeeded."""

    result: EvaluationResult | None


class Recognition(_WithJobs):
    """Whether a generation's images help a classifier; ``result`` is there when it has succeeded."""

    result: RecognitionResult | None


class SyntheticImage(Answer):
    """One synthetic image with its lineage. ``nearest_image_id``: the real image it is most like."""

    class_name: str
    number: int
    sha256: str
    size_bytes: int
    width_px: int
    height_px: int
    seed: int
    source_image_id: str | None
    second_source_image_id: str | None = None
    nearest_image_id: str | None
    nearest_feature_ratio: float | None
    nearest_pixel_ratio: float | None
    decision: Decision | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    links: dict[str, str]
