"""Webhooks: which events there are, what a client asks for, and what is sent."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from service.contracts.jobs import JobKind, JobState
from service.contracts.words import Word


class EventType(StrEnum):
    """What a webhook can be told. A job is one class of its resource; the resource is finished with its last job."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    ADAPTATION_FINISHED = "adaptation.finished"
    GENERATION_FINISHED = "generation.finished"
    EVALUATION_FINISHED = "evaluation.finished"
    RECOGNITION_FINISHED = "recognition.finished"


#: Sent on demand alone, so that nobody subscribes to it.
PING = "webhook.ping"

WantedEvents = Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))] | Literal["all"]
WebhookUrl = Annotated[str, Field(max_length=2048, examples=["https://qa.example.com/defectsynth"])]
Description = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
ResourceId = Annotated[
    str,
    Field(
        pattern=r"^[a-z]+_[0-9a-f]{32}$",
        description="Only events of this adaptation, generation, evaluation, recognition or single job.",
        examples=["gen_3d4e5f60718293a4b5c6d7e8f90a1b2c"],
    ),
]


class WebhookRequest(Word):
    """Have events sent to a URL."""

    url: WebhookUrl
    events: WantedEvents = "all"
    description: Description = ""
    resource_id: ResourceId | None = None


class WebhookChange(Word):
    """What to change of a webhook; what is left out stays. ``enabled``: true takes up a disabled one again."""

    url: WebhookUrl | None = None
    events: WantedEvents | None = None
    description: Description | None = None
    enabled: bool | None = None


class WebhookState(StrEnum):
    """A disabled webhook is told nothing new; what was waiting for it waits on."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Who disabled a webhook: its client, its receiver by answering 410, or days of nothing but failures."""

    CLIENT = "client"
    GONE = "gone"
    FAILING = "failing"


class DeliveryState(StrEnum):
    """``pending -> delivered | failed``; pending covers the attempts to come and the one under way."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class DeliveryError(StrEnum):
    """Why an attempt had no answer. Answers are told by their status alone."""

    HOST_UNRESOLVED = "host_unresolved"
    ADDRESS_DENIED = "address_denied"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    ANSWER_UNREADABLE = "answer_unreadable"


class FailureNote(Word):
    """Why a job failed, in short; the job itself says more."""

    code: str
    message: str
    remedy: str = ""


class JobEnded(Word):
    """Data of ``job.*``. Links are paths of the API."""

    job_id: str
    kind: JobKind
    resource_id: str
    class_name: str
    state: JobState
    failure: FailureNote | None = None
    links: dict[str, str]


class ResourceFinished(Word):
    """Data of ``*.finished``. ``state``: failed where any job failed, else canceled where any was, else succeeded."""

    kind: JobKind
    resource_id: str
    state: JobState
    num_jobs: dict[JobState, int]
    links: dict[str, str]


class Pinged(Word):
    """Data of ``webhook.ping``."""

    webhook_id: str


class Event(Word):
    """The body that is sent, as Standard Webhooks lays it out. ``timestamp``: when it happened."""

    type: str
    timestamp: datetime
    data: JobEnded | ResourceFinished | Pinged
