"""What only workers are told, beside `service.settings`: ``DEFECTSYNTH_WORKER_*`` variables."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class WorkerSettings(BaseSettings):
    """One worker's or maintenance process's settings."""

    model_config = SettingsConfigDict(env_prefix="DEFECTSYNTH_WORKER_", frozen=True, extra="ignore")

    max_base_models: int = Field(default=1, ge=1, description="Base models resident at once; each costs its memory.")
    max_adapters: int = Field(default=16, ge=1, description="Adapters kept in memory; the least recently used goes.")
    max_shared_generations: int = Field(
        default=1,
        ge=1,
        description="Generations with one base model that a worker runs together, in shared batches; 1: each alone. "
        "For a GPU that small requests leave idle; two CPU cores gain nothing by it.",
    )
    stall_seconds: float = Field(
        default=900.0, gt=0, description="Without progress for so long, a job's process ends and the job starts anew."
    )
    checkpoint_seconds: float = Field(default=10.0, ge=0, description="How much work a killed job may lose.")
    max_job_seconds: float | None = Field(
        default=86_400.0, gt=0, description="One attempt at a job may take so long; None: any time."
    )
    max_resident_bytes: int | None = Field(
        default=None, gt=0, description="A job fails where the worker takes more memory; its process is then replaced."
    )
    progress_seconds: float = Field(default=0.3, ge=0, description="At most one progress write in so long.")
    resend_seconds: float = Field(default=30.0, gt=0, description="A queued row's wake-up is sent again after so long.")
    orphan_sweep_seconds: float = Field(
        default=3600.0, gt=0, description="Stored files that nothing names are looked for once in so long."
    )
    keep_orphans_seconds: float = Field(
        default=86_400.0,
        ge=3600,
        description="Stored files that nothing names are kept so long: their rows come later.",
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of a worker's and maintenance's metrics.")
    metrics_port: int = Field(default=0, ge=0, le=65_535, description="Where a worker answers scrapes; 0: nowhere.")
    maintenance_metrics_port: int = Field(default=0, ge=0, le=65_535, description="The same of maintenance.")
    forget_worker_seconds: float = Field(default=3600.0, gt=0, description="Workers unseen for so long are forgotten.")

    c2pa_certificate: Path | None = Field(
        default=None, description="Certificate chain (PEM) that signs synthetic images; None: they are not signed."
    )
    c2pa_key: Path | None = Field(default=None, description="Its private key (PEM, PKCS #8).")
    c2pa_algorithm: Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] = Field(
        default="es256", description="As the key asks for."
    )

    webhook_threads: int = Field(default=8, ge=2, description="Webhooks that are sent to at once.")
    webhook_connect_seconds: float = Field(default=5.0, gt=0, description="Until a receiver's connection is open.")
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, description="Of one attempt, name resolution included.")
    webhook_poll_seconds: float = Field(default=1.0, gt=0, description="Deliveries are looked for once in so long.")
    webhook_retry_seconds: tuple[float, ...] = Field(
        default=(5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400),
        description="The pauses between attempts, give or take a tenth; after the last one the delivery has failed.",
    )
    webhook_disable_seconds: float = Field(
        default=5 * 86_400.0, gt=0, description="A webhook of nothing but failures for so long is disabled."
    )
    keep_deliveries_seconds: float = Field(
        default=14 * 86_400.0, ge=86_400, description="Deliveries are kept so long, and can be replayed meanwhile."
    )

    @model_validator(mode="after")
    def _keep_deliveries_until_they_are_over(self) -> Self:
        if self.keep_deliveries_seconds < 1.1 * sum(self.webhook_retry_seconds):
            raise ValueError(
                "DEFECTSYNTH_WORKER_KEEP_DELIVERIES_SECONDS is shorter than the pauses of "
                "DEFECTSYNTH_WORKER_WEBHOOK_RETRY_SECONDS together: deliveries would vanish before their last attempt"
            )
        return self

    @model_validator(mode="after")
    def _sign_with_certificate_and_key(self) -> Self:
        if (self.c2pa_certificate is None) != (self.c2pa_key is None):
            raise ValueError(
                "DEFECTSYNTH_WORKER_C2PA_CERTIFICATE and DEFECTSYNTH_WORKER_C2PA_KEY are set together or not at all"
            )
        return self
