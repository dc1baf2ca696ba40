"""What only workers are told, beside `service.settings`: ``DEFECTSYNTH_WORKER_*`` variables."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class WorkerSettings(BaseSettings):
    """One worker's or maintenance process's settings."""

    model_config = SettingsConfigDict(env_prefix="DEFECTSYNTH_WORKER_", frozen=True, extra="ignore")

    max_base_models: int = Field(default=1, ge=1, description="Base models resident at once; each costs its memory.")
    max_adapters: int = Field(default=16, ge=1, description="Adapters kept in memory; the least recently used goes.")
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
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65_535, description="Where a worker answers scrapes; 0: nowhere.")
    maintenance_metrics_port: int = Field(default=0, ge=0, le=65_535, description="The same of maintenance.")
    forget_worker_seconds: float = Field(default=3600.0, gt=0, description="Workers unseen for so long are forgotten.")
