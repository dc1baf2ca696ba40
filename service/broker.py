"""What sender and worker must agree on: the names on the broker, and how it is reached. No Celery import.

Without a broker URL the messages are files under ``data_dir/broker``.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from service.settings import Settings

#: The one task there is: "look in the database for work". Its argument is the id of the job it was sent for.
WAKE_TASK: Final = "defectsynth.wake"
JOBS_QUEUE: Final = "jobs"

FILE_TRANSPORT: Final = "service.spool:Transport"

#: A wake-up that is delivered twice does no harm, so nothing depends on this being longer than a job.
_VISIBILITY_SECONDS: Final = 3600
_CONNECT_SECONDS: Final = 2.0
_POLLING_SECONDS: Final = 0.1

ConfigValue = str | int | float | bool | None | list[str] | dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Broker:
    """How Celery reaches the broker, as its configuration keys."""

    url: str
    transport: str | None
    transport_options: dict[str, str | int | float | bool]

    def worker_config(self) -> dict[str, ConfigValue]:
        """For a process that waits for messages: it tries for ever to reach the broker."""
        return {
            **_COMMON,
            "broker_url": self.url,
            "broker_transport": self.transport,
            "broker_transport_options": self.transport_options,
            "broker_connection_retry_on_startup": True,
            "broker_connection_max_retries": None,
        }

    def sender_config(self) -> dict[str, ConfigValue]:
        """For a process that sends: it gives up soon, because the sweep sends again."""
        impatient: dict[str, str | int | float | bool] = {"max_retries": 0, "interval_start": 0, "interval_step": 0}
        return {
            **_COMMON,
            "broker_url": self.url,
            "broker_transport": self.transport,
            "broker_transport_options": {**self.transport_options, **impatient},
            "broker_connection_timeout": _CONNECT_SECONDS,
            "task_publish_retry": False,
        }


_COMMON: Final[dict[str, ConfigValue]] = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_ignore_result": True,
    "task_default_queue": JOBS_QUEUE,
    "enable_utc": True,
}


def broker_of(settings: Settings) -> Broker:
    """The broker that the settings name. Makes the folders of the filesystem transport."""
    if settings.broker_url is None:
        return _files(settings)
    options: dict[str, str | int | float | bool] = {}
    if settings.broker_url.startswith(("redis://", "rediss://")):
        options = {
            "visibility_timeout": _VISIBILITY_SECONDS,
            "socket_connect_timeout": _CONNECT_SECONDS,
            "socket_timeout": 30.0,
            "socket_keepalive": True,
            "health_check_interval": 30,
        }
    return Broker(settings.broker_url, None, options)


def check_files(settings: Settings) -> None:
    """Raise ``OSError`` where no message can be written to the folder of the filesystem transport."""
    _files(settings)
    unfinished = settings.broker_dir / "messages" / f"{secrets.token_hex(8)}.part"
    try:
        unfinished.write_bytes(b"ready")
    finally:
        unfinished.unlink(missing_ok=True)


def _files(settings: Settings) -> Broker:
    """One folder in both directions: this machine is sender and receiver."""
    messages, control = settings.broker_dir / "messages", settings.broker_dir / "control"
    for folder in (messages, control):
        folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, str | int | float | bool] = {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": _POLLING_SECONDS,
    }
    return Broker("filesystem://localhost/", FILE_TRANSPORT, options)
