"""The tables. Every row belongs to a tenant; JSON columns hold contracts as ``model_dump(mode="json")``."""

from datetime import datetime

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.store.base import Base as Base
from service.store.base import Json as Json
from service.store.base import UtcDateTime as UtcDateTime
from service.store.example_table import TrialExampleRow as TrialExampleRow
from service.store.webhook_tables import WebhookDeliveryRow as WebhookDeliveryRow
from service.store.webhook_tables import WebhookRow as WebhookRow


class DatasetRow(Base):
    """A named set of images; what it holds is in its versions."""

    __tablename__ = "dataset"
    __table_args__ = (Index("dataset_of_tenant", "tenant_id", "created_at", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime]


class DatasetVersionRow(Base):
    """An immutable version; uploads make new ones, jobs cite them."""

    __tablename__ = "dataset_version"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    dataset_id: Mapped[str] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    created_at: Mapped[datetime]
    warnings: Mapped[list[Json]] = mapped_column(JSON)


class ImageRow(Base):
    """One real image of a dataset; its bytes are the artefact named ``sha256``."""

    __tablename__ = "image"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    dataset_id: Mapped[str] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"), index=True)
    class_name: Mapped[str]
    filename: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    pixel_sha256: Mapped[str]
    size_bytes: Mapped[int]
    split: Mapped[str]
    group: Mapped[str | None] = mapped_column("group_name")
    width_px: Mapped[int]
    height_px: Mapped[int]
    mode: Mapped[str]
    sharpness: Mapped[float | None]
    created_at: Mapped[datetime]


class VersionImageRow(Base):
    """Which images a version holds."""

    __tablename__ = "version_image"
    version_id: Mapped[str] = mapped_column(ForeignKey("dataset_version.id", ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("image.id", ondelete="CASCADE"), primary_key=True, index=True)
    tenant_id: Mapped[str]


class AdaptationRow(Base):
    """A request to adapt classes of a dataset version; its jobs have it as ``resource_id``."""

    __tablename__ = "adaptation"
    __table_args__ = (Index("adaptation_of_tenant", "tenant_id", "created_at", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    dataset_version_id: Mapped[str] = mapped_column(ForeignKey("dataset_version.id"), index=True)
    base_model: Mapped[str]
    settings: Mapped[Json]
    created_at: Mapped[datetime]


class AdapterRow(Base):
    """A trained adapter; its files are a zip artefact. ``found``: generation settings, by the search."""

    __tablename__ = "adapter"
    __table_args__ = (Index("adapter_of_tenant", "tenant_id", "created_at", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    adaptation_id: Mapped[str] = mapped_column(ForeignKey("adaptation.id"), index=True)
    job_id: Mapped[str] = mapped_column(unique=True)
    class_name: Mapped[str]
    base_model: Mapped[str]
    archive_sha256: Mapped[str]
    size_bytes: Mapped[int]
    settings: Mapped[Json]
    checkpoint: Mapped[str | None]
    found: Mapped[Json | None] = mapped_column(JSON)
    created_at: Mapped[datetime]


class GenerationRow(Base):
    """A request for synthetic images of one or more classes; its jobs have it as ``resource_id``."""

    __tablename__ = "generation"
    __table_args__ = (Index("generation_of_tenant", "tenant_id", "created_at", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    seed: Mapped[int]
    settings: Mapped[Json]
    created_at: Mapped[datetime]


class GeneratedImageRow(Base):
    """One synthetic image with its lineage, and what a person decided about it."""

    __tablename__ = "generated_image"
    __table_args__ = (Index("generated_image_decided", "generation_id", "class_name", "decision", "number"),)
    generation_id: Mapped[str] = mapped_column(ForeignKey("generation.id", ondelete="CASCADE"), primary_key=True)
    class_name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    job_id: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int]
    width_px: Mapped[int]
    height_px: Mapped[int]
    mode: Mapped[str]
    seed: Mapped[int]
    source_image_id: Mapped[str | None]
    second_source_image_id: Mapped[str | None]
    candidate: Mapped[int | None]
    nearest_image_id: Mapped[str | None]
    nearest_feature_ratio: Mapped[float | None]
    nearest_pixel_ratio: Mapped[float | None]
    decision: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]


class EvaluationRow(Base):
    """A request to score one image set against another; its job has it as ``resource_id``."""

    __tablename__ = "evaluation"
    __table_args__ = (Index("evaluation_of_tenant", "tenant_id", "created_at", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    request: Mapped[Json]
    created_at: Mapped[datetime]


class RecognitionRow(Base):
    """A request to measure what synthetic images do for a classifier; its job has it as ``resource_id``."""

    __tablename__ = "recognition"
    __table_args__ = (Index("recognition_of_tenant", "tenant_id", "created_at", "id"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    request: Mapped[Json]
    created_at: Mapped[datetime]


class JobRow(Base):
    """The truth about a job. ``fencing_token`` grows with every claim; who holds an older one may write nothing.

    ``revision`` grows with every change a client can see (it is the ETag and the event id). ``wakeup_at``: when a
    message was last sent for this row; null means never. ``interim``: results so far, for the worker that goes on.
    ``losses``: the curve of a training under way. ``request_id``: of the HTTP request that submitted it, for the logs.
    """

    __tablename__ = "job"
    __table_args__ = (
        Index("job_runnable", "state", "priority", "created_at"),
        Index("job_of_resource", "resource_id", "class_name"),
        # Lists are read in their own order from an index each, or finding the few of a rare state reads all jobs.
        Index("job_of_tenant", "tenant_id", "created_at", "id"),
        Index("job_of_tenant_by_state", "tenant_id", "state", "created_at", "id"),
        Index("job_of_tenant_by_kind", "tenant_id", "kind", "created_at", "id"),
        Index("job_of_tenant_by_class", "tenant_id", "class_name", "created_at", "id"),
        Index("job_counted", "state", "kind", "created_at"),
        Index("job_served", "tenant_id", "started_at"),
        Index("job_ended", "tenant_id", "finished_at"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    kind: Mapped[str]
    request_id: Mapped[str | None]
    resource_id: Mapped[str]
    class_name: Mapped[str]
    state: Mapped[str]
    priority: Mapped[int] = mapped_column(default=0)
    params: Mapped[Json]
    adapter_id: Mapped[str | None]
    progress: Mapped[Json | None] = mapped_column(JSON)
    # Read by those who ask for it alone: it grows with the job, and a job is polled all the time.
    interim: Mapped[Json | None] = mapped_column(JSON, deferred=True)
    losses: Mapped[list[Json] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    result: Mapped[Json | None] = mapped_column(JSON)
    failure: Mapped[Json | None] = mapped_column(JSON)
    revision: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    fencing_token: Mapped[int] = mapped_column(default=0)
    worker_id: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None] = mapped_column(index=True)
    cancel_requested_at: Mapped[datetime | None]
    wakeup_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # Of all attempts that are over.
    device_seconds: Mapped[float] = mapped_column(default=0.0, server_default="0")


class ApiKeyRow(Base):
    """A key that a tenant's clients send; ``digest`` is an HMAC of it."""

    __tablename__ = "api_key"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class IdempotencyRow(Base):
    """The answer that a request with an Idempotency-Key was given, written with what the request made."""

    __tablename__ = "idempotency"
    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    payload_sha256: Mapped[str]
    status: Mapped[int]
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(index=True)


class TombstoneRow(Base):
    """An id that was deleted, so that it answers 410 and not 404."""

    __tablename__ = "tombstone"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    reason: Mapped[str]
    deleted_at: Mapped[datetime] = mapped_column(index=True)


class UsageRow(Base):
    """How much of something a tenant used in the ten minutes from ``slot_at``. Deleting work leaves it alone."""

    __tablename__ = "usage"
    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    slot_at: Mapped[datetime] = mapped_column(primary_key=True)
    amount: Mapped[float]


class WorkerRow(Base):
    """A worker process that reported lately. ``looked_at``: when it last looked for work, woken by a message.

    ``device``: as the setting names it until a GPU was looked for, then its own name. ``memory_bytes`` and
    ``device_memory_bytes``: all that it might take; null where nothing tells.
    """

    __tablename__ = "worker"
    id: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]
    resident_adapter_id: Mapped[str | None]
    job_id: Mapped[str | None]
    rss_bytes: Mapped[int]
    memory_bytes: Mapped[int | None]
    device_memory_bytes: Mapped[int | None]
    seen_at: Mapped[datetime]
    looked_at: Mapped[datetime | None]


class SweepRow(Base):
    """When maintenance last swept, whichever process of it: one row."""

    __tablename__ = "sweep"
    id: Mapped[str] = mapped_column(primary_key=True)
    swept_at: Mapped[datetime]
