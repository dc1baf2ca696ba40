"""Logs are events with keys. On a terminal they are coloured lines, elsewhere one JSON object a line."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog

#: The password of a URL such as ``redis://:password@host``, which errors of drivers may repeat.
_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):[^\s/]+(?=@)")
_SECRET_KEY = re.compile(r"(^|_)(key|password|secret|token|authorization)$", re.IGNORECASE)
#: A number that says which lease wins, no secret.
_NOT_SECRET = frozenset({"fencing_token"})


def configure_logs(level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """Set structlog up for this process; called by composition roots. ``stream`` defaults to stderr.

    What libraries log through the standard library comes out in the same form, from warnings on.
    """
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
    processors.append(without_secrets)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    _route_libraries(processors, renderer, out)


def _route_libraries(
    processors: list[structlog.types.Processor], renderer: structlog.types.Processor, out: TextIO
) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def without_secrets(
    logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A processor: passwords in URLs, and values under names such as ``admin_key``, become ``***``."""
    for key, value in event.items():
        if key not in _NOT_SECRET and _SECRET_KEY.search(key):
            event[key] = "***"
        elif isinstance(value, str) and "://" in value:
            event[key] = _URL_PASSWORD.sub(r"\1:***", value)
    return event


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger that carries the context variables along."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


@contextmanager
def bound(**keys: str) -> Iterator[None]:
    """Add keys such as ``request_id`` or ``job_id`` to every event inside the block."""
    with structlog.contextvars.bound_contextvars(**keys):
        yield


def bound_value(key: str) -> str | None:
    """What an enclosing `bound` gave for the key; None outside of one."""
    value = structlog.contextvars.get_contextvars().get(key)
    return value if isinstance(value, str) else None
