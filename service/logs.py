"""Logs are events with keys. On a terminal they are coloured lines, elsewhere one JSON object a line."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog


def configure_logs(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Set structlog up for this process; called by composition roots. ``stream`` defaults to stderr."""
    out = stream or sys.stderr
    # The stock traceback on a terminal shows every local variable, and so keys and passwords.
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if out.isatty()
        else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not out.isatty():
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger that carries the context variables along."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


@contextmanager
def bound(**keys: str) -> Iterator[None]:
    """Add keys such as ``request_id`` or ``job_id`` to every event inside the block."""
    with structlog.contextvars.bound_contextvars(**keys):
        yield
