"""The settings that images were made with, where each came from, and the request that makes the images again."""

import json
import shlex
from dataclasses import dataclass

from service.contracts.generations import GenerationMode, GenerationSettings
from service.contracts.search import FoundSettings

_FOUND, _GIVEN, _DEFAULT, _UNKNOWN = "found by the search", "given", "default of the base model", "not recorded"


@dataclass(frozen=True)
class SettingUsed:
    """One setting. ``origin``: who decided it, in words; ``counts``: whether it has an effect in this mode."""

    name: str
    value: str
    origin: str
    counts: bool = True


def settings_used(
    used: GenerationSettings, found: FoundSettings | None, defaults: GenerationSettings | None
) -> list[SettingUsed]:
    """Every setting with its origin, told by whose value it equals: the search's first, then the base model's."""
    found_values = found.model_dump() if found is not None and not used.unadapted else {}
    default_values = defaults.model_dump(mode="json") if defaults is not None else None
    rows = []
    for name, value in used.model_dump(mode="json").items():
        if name in found_values and found_values[name] == value:
            origin = _FOUND
        elif default_values is None:
            origin = _UNKNOWN
        else:
            origin = _DEFAULT if default_values[name] == value else _GIVEN
        counts = name != "strength" or used.mode is GenerationMode.IMAGE_ORIENTED
        rows.append(SettingUsed(name, _shown(value), origin, counts))
    return rows


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Remake:
    """A request that repeats what was done. ``body`` is JSON, ``command`` a line for a shell."""

    body: str
    command: str


def remake_request(path: str, body: dict[str, object]) -> Remake:
    """A POST of this body."""
    command = (
        f'curl -X POST "$DEFECTSYNTH_URL{path}" -H "content-type: application/json" \\\n'
        f"  -d {shlex.quote(json.dumps(body))}"
    )
    return Remake(json.dumps(body, indent=2), command)
