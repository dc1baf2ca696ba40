"""What clients get to see."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from service.contracts.adaptations import AdaptationResult, AdaptationSettings, CurvePoint
from service.contracts.datasets import DatasetWarning, ImageRecord, RefusedImage, Split
from service.contracts.evaluations import EvaluationRequest, EvaluationResult
from service.contracts.generations import (
    DecisionCounts,
    GateSettings,
    GenerationResult,
    GenerationSettings,
    SettingsInCommon,
)
from service.contracts.jobs import JobFailure, JobKind, JobState, Progress
from service.contracts.recognitions import RecognitionResult
from service.contracts.requests import GenerationRequest, RecognitionRequest
from service.contracts.search import FoundSettings, SearchTrial, TrialExample
from service.reports.closeness import Answer

T = TypeVar("T")
Links = dict[str, str]
RejectedNumbers = Annotated[
    dict[str, list[int]],
    Field(
        description="Images of the generation that were rejected when this was asked for, and so are left out.",
        examples=[{"scratches": [3, 17]}],
    ),
]


class View(BaseModel):
    """The base of what is answered."""

    model_config = ConfigDict(frozen=True)


class PageView(View, Generic[T]):
    """Some of a list; send ``next_cursor`` as ``cursor`` for more, it is null on the last page."""

    items: list[T]
    next_cursor: str | None = None


class JobView(View):
    """One job. ``seconds_left`` and ``queue_position`` are estimates."""

    id: str = Field(examples=["job_5f0c2a9e7b3d4c1f8a6e9d0b1c2d3e4f"])
    kind: JobKind
    state: JobState
    resource_id: str = Field(examples=["adn_0a1b2c3d4e5f60718293a4b5c6d7e8f9"])
    class_name: str = Field(examples=["scratches"])
    adapter_id: str | None = None
    progress: Progress | None = None
    result: AdaptationResult | GenerationResult | EvaluationResult | RecognitionResult | None = None
    failure: JobFailure | None = None
    queue_position: int | None = Field(default=None, description="1 is next; null when the job is not queued.")
    seconds_left: float | None = None
    attempts: int
    revision: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    links: Links


class WorkState(StrEnum):
    """Of several jobs taken together."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class DatasetVersionView(View):
    """One immutable version."""

    id: str = Field(examples=["dsv_7d1e2f3a4b5c6d7e8f90a1b2c3d4e5f6"])
    number: int
    created_at: datetime


class DatasetView(View):
    """A dataset in one version: images for each class and split, and what a person should know about them."""

    id: str = Field(examples=["ds_1b2c3d4e5f60718293a4b5c6d7e8f90a"])
    name: str = Field(examples=["line 3, week 12"])
    created_at: datetime
    version: DatasetVersionView
    num_images: int
    classes: dict[str, dict[Split, int]] = Field(examples=[{"scratches": {"train": 20, "validation": 5, "test": 5}}])
    warnings: list[DatasetWarning]
    links: Links


class ReceiptView(DatasetView):
    """What became of an upload: the dataset as it is now, and each refused file with its reason."""

    accepted: int
    refused: list[RefusedImage]


class DatasetSummary(View):
    """A dataset in a list."""

    id: str
    name: str
    created_at: datetime
    links: Links


class DatasetImageView(ImageRecord):
    """One real image; ``links.content`` is its PNG, ``links.thumbnail`` a small JPEG of it."""

    links: Links


class AdapterView(View):
    """A trained adapter of one class."""

    id: str = Field(examples=["adp_2c3d4e5f60718293a4b5c6d7e8f90a1b"])
    adaptation_id: str
    job_id: str
    class_name: str
    base_model: str
    size_bytes: int
    archive_sha256: str
    settings: AdaptationSettings
    checkpoint: str | None = Field(examples=["lora@250"], description="How far it had been trained.")
    found: FoundSettings | None = Field(description="Generation settings that the search found; used by default.")
    created_at: datetime
    links: Links


class TrialExampleView(TrialExample):
    """An image of a trial; ``links.content`` is its PNG, ``links.thumbnail`` a small JPEG of it.

    ``links.source``: the real image that it was made from.
    """

    links: Links


class TrialView(SearchTrial):
    """A trial with a few of its images; the n-th image of each trial has the same source and seed."""

    examples: list[TrialExampleView]


class AdaptationView(View):
    """An adaptation, its jobs (one a class) and the adapters it has made so far.

    ``trials``: what the search has tried, class by class, while it runs and after.
    """

    id: str = Field(examples=["adn_0a1b2c3d4e5f60718293a4b5c6d7e8f9"])
    state: WorkState
    dataset_id: str
    dataset_version_id: str
    base_model: str = Field(examples=["mini"])
    settings: AdaptationSettings
    created_at: datetime
    jobs: list[JobView]
    adapters: list[AdapterView]
    trials: dict[str, list[TrialView]]
    losses: dict[str, list[CurvePoint]] = Field(
        description="Class by class, thinned, until the job has succeeded; then its `result` has the whole curve."
    )
    links: Links


class GenerationClassView(View):
    """One class of a generation. ``num_published`` images can be fetched now."""

    class_name: str
    adapter_id: str
    num_images: int
    num_published: int
    decisions: DecisionCounts
    seed: int
    settings: GenerationSettings = Field(description="What the client gave, then what the search found, then defaults.")
    gates: GateSettings
    links: Links


class GenerationView(View):
    """A generation and its jobs, one a class."""

    id: str = Field(examples=["gen_3d4e5f60718293a4b5c6d7e8f90a1b2c"])
    state: WorkState
    seed: int
    settings: SettingsInCommon
    created_at: datetime
    classes: list[GenerationClassView]
    jobs: list[JobView]
    links: Links


class ClassAnswer(View):
    """What ``report.html`` says of a finished class in words, and the request that makes its images again.

    ``as_close``: are the synthetic images as close to the real ones as these are to each other? ``caution``: what must
    be known to read that.
    """

    as_close: Answer
    reason: str
    caution: str | None
    copies: str
    remake: GenerationRequest


class GenerationReport(View):
    """Quality of a generation, class by class; ``results`` and ``answers`` hold finished classes only.

    ``decisions``: how many of the published images people keep or reject.
    """

    generation_id: str
    state: WorkState
    results: dict[str, GenerationResult]
    answers: dict[str, ClassAnswer]
    decisions: dict[str, DecisionCounts]
    failures: dict[str, JobFailure]


class EvaluationView(View):
    """An evaluation and its job; ``result`` is there when it has succeeded."""

    id: str = Field(examples=["evl_4e5f60718293a4b5c6d7e8f90a1b2c3d"])
    state: WorkState
    request: EvaluationRequest
    result: EvaluationResult | None
    created_at: datetime
    jobs: list[JobView]
    links: Links


class RecognitionView(View):
    """A recognition and its job; ``result`` is there when it has succeeded."""

    id: str = Field(examples=["rec_5f60718293a4b5c6d7e8f90a1b2c3d4e"])
    state: WorkState
    request: RecognitionRequest
    result: RecognitionResult | None
    rejected: RejectedNumbers
    created_at: datetime
    jobs: list[JobView]
    links: Links


class RecognitionReport(View):
    """What a recognition found, or why it failed. ``request`` names the dataset's version it was fixed to."""

    recognition_id: str
    state: WorkState
    request: RecognitionRequest
    result: RecognitionResult | None
    failure: JobFailure | None
    rejected: RejectedNumbers


class BaseModelView(View):
    """A base model by its registered name, and the settings used for what a client leaves out."""

    name: str = Field(examples=["mini"])
    revision: str | None
    adaptation: AdaptationSettings
    generation: GenerationSettings


class ExtractorView(View):
    """A feature extractor by its registered name; ``sha256`` of its weights, where they are pinned."""

    name: str = Field(examples=["mini"])
    kind: str = Field(examples=["mini"])
    sha256: str | None
    is_default: bool


class ClassifierView(View):
    """A classifier by its registered name."""

    name: str = Field(examples=["small_resnet"])


class ReadyView(View):
    """``ready``; ``degraded`` (work is accepted and waits: no worker, a deaf one, or no broker); ``unready``."""

    status: str = Field(examples=["degraded"])
    checks: dict[str, str] = Field(
        description="`ok`, or what is wrong.",
        examples=[{"database": "ok", "files": "ok", "broker": "ok", "worker": "none seen lately", "maintenance": "ok"}],
    )
    remedies: dict[str, str] = Field(default_factory=dict, description="What to do about each check that is not `ok`.")
