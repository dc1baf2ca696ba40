"""What the service tells about itself: whether it is well, who works for it, and what its operator has registered."""

from datetime import datetime

from pydantic import Field

from defectsynth_client.calling import Call, get
from defectsynth_client.models import Answer, Page


class Readiness(Answer):
    """``ready``; ``degraded`` (work is accepted and waits); ``unready``. ``remedies``: for what is not ``ok``."""

    status: str
    checks: dict[str, str]
    remedies: dict[str, str] = Field(default_factory=dict)


class BaseModelEntry(Answer):
    """A base model that the operator has registered."""

    name: str
    revision: str | None


class ExtractorEntry(Answer):
    """A feature extractor that the operator has registered, which ``evaluate`` takes by its name."""

    name: str
    kind: str
    sha256: str | None
    is_default: bool


class ClassifierEntry(Answer):
    """A classifier that the operator has registered, which the settings of ``recognise`` take by its name."""

    name: str


class WorkedOn(Answer):
    """A job that a worker is busy with."""

    id: str
    kind: str
    class_name: str
    links: dict[str, str]


class Worker(Answer):
    """A worker that reported lately. ``job`` and ``resident_adapter_id`` are told where they are the caller's own."""

    id: str
    device: str
    is_busy: bool
    job: WorkedOn | None
    resident_adapter_id: str | None
    seen_at: datetime
    looked_for_work_at: datetime | None


def base_models() -> Call[Page[BaseModelEntry]]:
    """The base models that the operator has registered."""
    return get("/v1/base-models", Page[BaseModelEntry])


def extractors() -> Call[Page[ExtractorEntry]]:
    """The feature extractors that the operator has registered."""
    return get("/v1/extractors", Page[ExtractorEntry])


def classifiers() -> Call[Page[ClassifierEntry]]:
    """The classifiers that the operator has registered."""
    return get("/v1/classifiers", Page[ClassifierEntry])


def workers() -> Call[Page[Worker]]:
    """The workers that reported within the last half minute."""
    return get("/v1/workers", Page[Worker])


def readiness() -> Call[Readiness]:
    """Whether the service can take work and do it; answered without a key."""
    return get("/health/ready", Readiness)
