"""Settings, read from ``DEFECTSYNTH_*`` variables by the composition roots alone. Units are in the names."""

import ipaddress
import re
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.outbound import AllowList

MIN_SECRET_CHARACTERS = 32
_HOST_NAME = re.compile(r"[\w.-]+|[0-9a-f:.]+")
_PUBLIC_URL = re.compile(r"https?://([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d+)?/?")
_S3_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[\w./-]*)?")


class LogLevel(StrEnum):
    """From which events on a process logs."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseSettings):
    """One process's settings. Refuses to listen beyond loopback without keys."""

    model_config = SettingsConfigDict(env_prefix="DEFECTSYNTH_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default=Path(".defectsynth"),
        description="Record, images, adapters and work in progress; made where it is not there.",
    )
    database_url: str | None = Field(default=None, description="SQLAlchemy URL; None: SQLite in data_dir.")
    broker_url: str | None = Field(default=None, description="Redis or AMQP URL; None: files under data_dir/broker.")
    host: str = Field(default="127.0.0.1", description="Address of the API; beyond loopback keys must be asked for.")
    port: int = Field(default=8000, ge=0, le=65_535, description="Of the API; 0: a free one.")
    allowed_hosts: str = Field(
        default="",
        description="Names besides loopback's that requests may be sent to: qa.plant.local,10.20.0.5. Empty: any where "
        "keys are asked for, else none.",
    )
    public_url: str | None = Field(
        default=None,
        description="Where people reach the service through a proxy: https://qa.plant.local. Its name is an allowed "
        "host; with https the page's session is never sent over plain HTTP.",
    )
    admin_key: SecretStr | None = Field(default=None, description="The operator's own key: every scope.")
    require_keys: bool = Field(default=False, description="Ask for a key on loopback too. An admin key implies it.")
    key_secret: SecretStr | None = Field(
        default=None, description="Keys are kept as HMACs under it; None: a file in data_dir, made once."
    )
    metrics_token: SecretStr | None = Field(default=None, description="What /metrics asks for; None: nothing.")
    log_level: LogLevel = Field(default=LogLevel.INFO, description="From which events on a process logs.")
    device: str = Field(
        default="auto", description="Of workers: cpu, cuda, or auto, which takes a GPU where torch sees one."
    )
    base_models: Path | None = Field(default=None, description="TOML registry of further base models and extractors.")
    extractor: str = Field(default="mini", description="Name of the extractor where a request names none.")
    torch_threads: int | None = Field(default=None, ge=1, description="Of a worker on the CPU; None: its cores.")

    artifacts_url: str | None = Field(
        default=None, description="s3://bucket/prefix for images and adapters; None: files in data_dir."
    )
    s3_endpoint_url: str | None = Field(default=None, description="Of a server other than AWS.")
    s3_region: str | None = Field(default=None, description="Of the bucket, where its server asks for one.")
    artifact_cache_bytes: int = Field(default=10 * 2**30, ge=1, description="Copies of what is in S3, in data_dir.")
    presigned_download_seconds: int | None = Field(
        default=None, ge=1, le=3600, description="Redirect downloads to S3, by addresses that live so long."
    )

    max_request_bytes: int = Field(default=512 * 2**20, ge=1, description="Of an upload.")
    max_json_bytes: int = Field(default=2**20, ge=1, description="Of a request that is not an upload.")
    max_files_per_request: int = Field(default=500, ge=1, description="Of a multipart upload; a zip may hold more.")
    max_images_per_upload: int = Field(default=10_000, ge=1, description="More are refused as a whole.")
    max_image_bytes: int = Field(default=200 * 2**20, ge=1, description="Of one file; 65 megapixels of bare RGB fit.")
    max_image_pixels: int = Field(default=2**26, ge=1, description="Of one image; sensors have up to 65 megapixels.")
    max_image_side_px: int = Field(default=16_384, ge=1, description="Of an image's longer side.")
    min_image_side_px: int = Field(default=16, ge=1, description="Of an image's shorter side.")
    max_upload_pixels: int = Field(default=2_000_000_000, ge=1, description="Of all images of one upload together.")
    max_upload_seconds: float = Field(default=120.0, gt=0, description="Of a processor, for all images of one upload.")
    max_zip_entries: int = Field(default=10_000, ge=1, description="Folders and files in a zip.")
    max_zip_expansion_ratio: float = Field(
        default=200.0, gt=1, description="A zip that grows more than this is refused."
    )
    max_zip_expanded_bytes: int = Field(default=2 * 2**30, ge=1, description="What a zip may hold when it is unpacked.")
    max_images_per_class_generation: int = Field(
        default=10_000, ge=1, description="One request may ask for so many of a class."
    )
    min_train_images: int = Field(default=4, ge=1, description="A class with fewer cannot be adapted.")
    max_queued_jobs: int = Field(default=1_000, ge=1, description="Of all tenants.")
    max_queued_jobs_per_tenant: int | None = Field(default=None, ge=1, description="Waiting jobs of one tenant.")
    max_images_per_day: int | None = Field(default=None, ge=1, description="Asked for by a tenant in 24 hours.")
    max_device_seconds_per_day: float | None = Field(
        default=None, gt=0, description="That a tenant's jobs may take: attempts that ended in the last 24 hours."
    )
    max_requests_per_minute: int | None = Field(default=None, ge=1, description="Of one key.")
    max_event_streams: int = Field(default=1_000, ge=1, description="Open at once, of an API process.")
    max_event_streams_per_key: int = Field(default=200, ge=1, description="Of a tenant where no key is asked for.")
    max_event_stream_seconds: float = Field(
        default=900.0, gt=0, description="Then a stream ends and its client comes again, so that its key is looked at."
    )
    max_upload_bytes_per_day: int | None = Field(default=None, ge=1, description="Of a tenant.")
    idempotency_seconds: float = Field(default=86_400.0, gt=0, description="An Idempotency-Key is known for so long.")
    max_webhooks: int = Field(default=50, ge=1, description="Of one tenant.")
    webhook_allow: str = Field(
        default="",
        description="What webhooks may reach though it is not public: qa.plant.local,10.20.0.0/16.",
    )
    max_concurrent_uploads: int = Field(
        default=2, ge=1, description="Uploads that one API process looks at together; others wait."
    )
    max_concurrent_thumbnails: int = Field(
        default=2, ge=1, description="Thumbnails that one API process makes together; others wait."
    )
    thumbnail_cache_bytes: int = Field(
        default=64 * 2**20, ge=0, description="Thumbnails that an API process remembers."
    )
    request_threads: int = Field(default=8, ge=1, description="More do not help: they share one interpreter.")

    keep_datasets_days: float | None = Field(
        default=None, gt=0, description="Datasets without an adapter that nobody uploaded to or adapted for so long."
    )
    keep_generations_days: float | None = Field(default=None, gt=0, description="Generations with their images.")
    keep_evaluations_days: float | None = Field(default=None, gt=0, description="Evaluations and recognitions.")
    keep_remains_days: float | None = Field(default=None, gt=0, description="Work of which no job succeeded.")
    keep_tombstones_days: float = Field(default=400.0, gt=0, description="So long a deleted id answers 410, then 404.")

    lease_seconds: float = Field(
        default=30.0, gt=0, description="A worker that is silent for so long has lost its job, which goes on elsewhere."
    )
    heartbeat_seconds: float = Field(default=5.0, gt=0, description="How often a worker says that it lives.")
    sweep_seconds: float = Field(
        default=5.0, gt=0, description="How often maintenance looks for lost and waiting jobs."
    )
    max_attempts: int = Field(default=3, ge=1, description="A job whose worker dies so often fails as worker_lost.")
    stuck_seconds: float = Field(
        default=120.0, gt=0, description="A job that waits so long beside an idle worker makes readiness degraded."
    )

    @model_validator(mode="after")
    def _refuse_unsafe_combinations(self) -> Self:
        """A reachable address needs keys; a lease must outlive several heartbeats."""
        for name, secret in (("ADMIN_KEY", self.admin_key), ("KEY_SECRET", self.key_secret)):
            if secret is not None and len(secret.get_secret_value()) < MIN_SECRET_CHARACTERS:
                raise ValueError(
                    f"DEFECTSYNTH_{name} is shorter than {MIN_SECRET_CHARACTERS} characters: "
                    "make one with `openssl rand -hex 32`"
                )
        if not self.demands_keys and not is_loopback(self.host):
            raise ValueError(
                f"DEFECTSYNTH_HOST is {self.host}, which others can reach: set DEFECTSYNTH_ADMIN_KEY to at least "
                f"{MIN_SECRET_CHARACTERS} characters (for example from `openssl rand -hex 32`), or set "
                "DEFECTSYNTH_REQUIRE_KEYS=true and make keys with `defectsynth keys create`, or use 127.0.0.1"
            )
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise ValueError("DEFECTSYNTH_LEASE_SECONDS must be at least twice DEFECTSYNTH_HEARTBEAT_SECONDS")
        try:
            AllowList.parse(self.webhook_allow)
        except ValueError as error:
            raise ValueError(f"DEFECTSYNTH_WEBHOOK_ALLOW: {error}") from error
        for name in self.host_names:
            if _HOST_NAME.fullmatch(name) is None:
                raise ValueError(
                    f"DEFECTSYNTH_ALLOWED_HOSTS names {name!r}: write names alone, without scheme and port"
                )
        if self.public_url is not None and _PUBLIC_URL.fullmatch(self.public_url) is None:
            raise ValueError(f"DEFECTSYNTH_PUBLIC_URL is {self.public_url!r}: write https://qa.plant.local")
        if self.artifacts_url is not None and _S3_URL.fullmatch(self.artifacts_url) is None:
            raise ValueError(f"DEFECTSYNTH_ARTIFACTS_URL is {self.artifacts_url!r}: write s3://bucket/prefix")
        return self

    @property
    def demands_keys(self) -> bool:
        """Whether every request under /v1 needs a key."""
        return self.require_keys or self.admin_key is not None

    @property
    def sqlalchemy_url(self) -> str:
        """The database, SQLite in ``data_dir`` unless another is named."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'defectsynth.db'}"

    @property
    def host_names(self) -> frozenset[str]:
        """Names that requests may be sent to besides loopback's, in small letters."""
        public = urlsplit(self.public_url).hostname if self.public_url is not None else None
        listed = {name.strip().lower() for name in self.allowed_hosts.split(",")}
        return frozenset(name for name in (*listed, public) if name)

    @property
    def is_public_by_https(self) -> bool:
        """Whether people's browsers speak TLS, to a proxy if not to this service."""
        return self.public_url is not None and urlsplit(self.public_url).scheme == "https"

    @property
    def webhook_allow_list(self) -> AllowList:
        """Where webhooks may go besides the public network."""
        return AllowList.parse(self.webhook_allow)

    @property
    def artifacts_dir(self) -> Path:
        """Where images and adapters are kept, by content."""
        return self.data_dir.resolve() / "artifacts"

    @property
    def artifact_cache_dir(self) -> Path:
        """Where copies of artefacts are kept that are elsewhere."""
        return self.data_dir.resolve() / "artifact-cache"

    @property
    def broker_dir(self) -> Path:
        """Where the filesystem transport keeps its messages."""
        return self.data_dir.resolve() / "broker"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
