"""Pre-flight: what an adaptation would meet and take, told before anything is queued."""

from enum import StrEnum

from pydantic import Field

from service.contracts.adaptations import AdaptationSettings
from service.contracts.datasets import DatasetWarning, Split
from service.contracts.ids import VersionId
from service.contracts.words import Word


class PreflightVerdict(StrEnum):
    """``not_advised``: it would be accepted, and is likely to fail, to wait for ever or to learn something wrong."""

    READY = "ready"
    READY_WITH_WARNINGS = "ready_with_warnings"
    NOT_ADVISED = "not_advised"


class Basis(StrEnum):
    """What an estimate stands on: finished jobs of the same base model and device, or what the operator registered."""

    EARLIER_JOBS = "earlier_jobs"
    REGISTERED_DEFAULT = "registered_default"


class ExpectedSeconds(Word):
    """``low`` to ``high`` holds nine jobs in ten; it is wide where few jobs have been seen."""

    expected: float
    low: float
    high: float


class PreflightMemory(Word):
    """Bytes that a job's process is expected to take at most, and that the worker has; null: nothing tells."""

    expected_bytes: int | None = None
    expected_device_bytes: int | None = None
    worker_bytes: int | None = None
    worker_device_bytes: int | None = None


class PreflightClass(Word):
    """One class: its images, its faults, and what its job is expected to take."""

    class_name: str
    num_images: dict[Split, int] = Field(examples=[{"train": 20, "validation": 8, "test": 5}])
    warnings: list[DatasetWarning]
    seconds: ExpectedSeconds | None = None
    stage_seconds: dict[str, float] = Field(default_factory=dict, examples=[{"textual_inversion": 10, "lora": 35}])


class Preflight(Word):
    """What became of `dry_run`: nothing was queued. ``settings``: as they would be used.

    ``seconds``: of all jobs, from the start of the first to the end of the last; ``seconds_waiting``: until that start.
    """

    verdict: PreflightVerdict
    sentence: str
    dataset_version_id: VersionId
    base_model: str
    settings: AdaptationSettings
    classes: list[PreflightClass]
    warnings: list[DatasetWarning] = Field(description="About no single class.")
    seconds: ExpectedSeconds | None = None
    seconds_waiting: float | None = Field(default=None, description="Null where nothing tells, or no worker is there.")
    basis: Basis | None = Field(default=None, description="Of the seconds; null: nothing tells how long it takes.")
    num_earlier_jobs: int = Field(description="Finished jobs that the seconds were learned from.")
    device: str | None = Field(default=None, examples=["cpu", "NVIDIA A10"])
    num_workers: int = Field(description="Seen lately.")
    memory: PreflightMemory
