"""Every setting, of the settings classes."""

from enum import Enum
from types import NoneType
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from service.settings import Settings
from worker.settings import WorkerSettings

_SIGNS: dict[type[Any], str] = {Ge: "≥ {}", Gt: "> {}", Le: "≤ {}", Lt: "< {}"}
_UNITS = ((2**30, "GiB"), (2**20, "MiB"))
_INTRODUCTION = """\
# Settings

Environment variables, read when a process starts. A value that does not fit ends the process with a sentence that
names it. `defectsynth doctor` looks at them without starting anything.

Callers (the client and the remote commands) read two more: `DEFECTSYNTH_URL`, the service, and `DEFECTSYNTH_API_KEY`.
"""


def page() -> str:
    """A table for each class."""
    parts = [_INTRODUCTION]
    parts += ["## Every process", "", _table(Settings), ""]
    parts += ["## Workers and maintenance", "", _table(WorkerSettings)]
    return "\n".join(parts)


def _table(settings: type[BaseSettings]) -> str:
    rows = ["| variable | default | |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        variable = f"{settings.model_config['env_prefix']}{name.upper()}"
        if not field.description:
            raise ValueError(f"{settings.__name__}.{name} has no description, and the reference needs one")
        told = "; ".join(filter(None, [field.description.rstrip("."), *_bounds(field), _choices(field)]))
        rows.append(f"| `{variable}` | {_default(field)} | {told} |")
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == "":
        return ""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        value = list(value)
    text = f"`{str(value).lower() if isinstance(value, bool) else value}`"
    for size, unit in _UNITS:
        if isinstance(value, int) and not isinstance(value, bool) and value >= size and value % size == 0:
            return f"{text} ({value // size} {unit})"
    return text


def _bounds(field: FieldInfo) -> list[str]:
    found = []
    for limit in field.metadata:
        if said := _SIGNS.get(type(limit)):
            found.append(said.format(next(iter(vars(limit).values())) if hasattr(limit, "__dict__") else _value(limit)))
    return found


def _value(limit: Any) -> Any:
    return next(getattr(limit, name) for name in ("ge", "gt", "le", "lt") if hasattr(limit, name))


def _choices(field: FieldInfo) -> str:
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{one.value}`" for one in kind)
    words = [one for one in get_args(kind) if isinstance(one, str) and one is not NoneType]
    return ", ".join(f"`{one}`" for one in words)
