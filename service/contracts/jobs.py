"""A job: its kind, its state, its progress and how it failed."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from service.contracts.words import Word

Priority = Annotated[
    int, Field(ge=-10, le=10, description="Higher goes first among your own waiting jobs; others' are not overtaken.")
]


class JobKind(StrEnum):
    """What a job does; one job is one class of one adaptation or generation, one evaluation or one recognition."""

    ADAPTATION = "adaptation"
    GENERATION = "generation"
    EVALUATION = "evaluation"
    RECOGNITION = "recognition"

    def path_of(self, resource_id: str) -> str:
        """Where the API shows the resource that such a job belongs to."""
        return f"/v1/{self.value}s/{resource_id}"


class JobState(StrEnum):
    """``queued -> running -> succeeded | failed | canceled``; terminal states are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether a job in this state never changes again."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED)


class Figure(StrEnum):
    """Figures that tell a person how a running job goes, by the names that workers send."""

    LOSS = "loss"
    IMAGES_DONE = "images_done"
    NUM_CANDIDATES = "num_candidates"


class Progress(Word):
    """Where a running job is. ``fraction`` in [0, 1] is of the whole job, ``step`` of ``total`` of the stage."""

    stage: str = Field(examples=["textual_inversion"])
    step: int = Field(ge=0)
    total: int = Field(ge=0)
    fraction: float = Field(ge=0, le=1)
    seconds_left: float | None = Field(default=None, ge=0)
    figures: dict[str, float] = Field(default_factory=dict, description="For example the loss, or images done.")


class Footprint(Word):
    """What a job took of the machine it ran on. ``peak_memory_bytes``: of the worker's process, in RAM."""

    device: str = Field(examples=["cpu", "NVIDIA A10"])
    peak_memory_bytes: int | None = None
    peak_device_memory_bytes: int | None = None


class JobFailure(Word):
    """Why a job failed, in words a person can act on."""

    code: str = Field(examples=["dataset_unusable"])
    message: str
    remedy: str
    retryable: bool = False
