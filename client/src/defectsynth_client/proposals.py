"""What the service says before anything is done: the pre-flight of an adaptation, and a top-up of weak classes."""

from enum import StrEnum
from typing import Any

from defectsynth_client.models import Answer, DatasetWarning


class PreflightVerdict(StrEnum):
    """``not_advised``: it would be accepted, and is likely to fail, to wait for ever or to learn something wrong."""

    READY = "ready"
    READY_WITH_WARNINGS = "ready_with_warnings"
    NOT_ADVISED = "not_advised"


class ExpectedSeconds(Answer):
    """Nine jobs in ten take from ``low`` to ``high``."""

    expected: float
    low: float
    high: float


class PreflightMemory(Answer):
    """Bytes that a job is expected to take at most, and that a worker has; None: nothing tells."""

    expected_bytes: int | None = None
    expected_device_bytes: int | None = None
    worker_bytes: int | None = None
    worker_device_bytes: int | None = None


class PreflightClass(Answer):
    """One class of a pre-flight."""

    class_name: str
    num_images: dict[str, int]
    warnings: list[DatasetWarning]
    seconds: ExpectedSeconds | None = None


class Preflight(Answer):
    """What an adaptation would meet and take; ``sentence`` says it in words."""

    verdict: PreflightVerdict
    sentence: str
    base_model: str
    classes: list[PreflightClass]
    warnings: list[DatasetWarning]
    seconds: ExpectedSeconds | None = None
    seconds_waiting: float | None = None
    num_earlier_jobs: int
    num_workers: int
    memory: PreflightMemory = PreflightMemory()


class GenerationProposal(Answer):
    """A body of ``POST /v1/generations``, which ``Client.generate`` takes as it is: ``generate(**proposal.given)``."""

    adaptation_id: str | None = None
    adapter_ids: list[str] | None = None
    num_images: int | dict[str, int]

    @property
    def given(self) -> dict[str, Any]:
        """Its fields that say something."""
        return self.model_dump(exclude_none=True, exclude_unset=True)


class TopUpClass(Answer):
    """One class and why so many images of it are proposed."""

    class_name: str
    recall: float | None
    is_weak: bool
    num_images: int
    reason: str


class TopUp(Answer):
    """Images proposed for the weak classes; ``request`` is None where there is nothing to propose."""

    request: GenerationProposal | None
    sentence: str
    target_recall: float
    ratio: float
    classes: list[TopUpClass]
