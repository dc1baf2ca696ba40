"""The settings that images were made with, where each came from, and the request that makes the images again."""

import json
import shlex
from dataclasses import dataclass

from service.contracts.generations import GenerationMode, GenerationParams, GenerationSettings, Origin
from service.reports.wording import setting

_ORIGINS = {
    Origin.CLIENT: "given",
    Origin.SEARCH: "found by the search",
    Origin.BASE_MODEL: "default of the base model",
}


@dataclass(frozen=True)
class SettingUsed:
    """One setting. ``origin``: who decided it, in words; ``counts``: whether it has an effect beside the others."""

    name: str
    value: str
    origin: str
    counts: bool = True


def settings_used(params: GenerationParams) -> list[SettingUsed]:
    """Every setting with its origin, as it was recorded when the generation was accepted."""
    without_effect = _without_effect(params.settings)
    return [
        SettingUsed(name, setting(value), _origin(params.origins.get(name)), name not in without_effect)
        for name, value in params.settings.model_dump(mode="json").items()
    ]


def _origin(recorded: Origin | None) -> str:
    return _ORIGINS[recorded] if recorded is not None else "not recorded"


def _without_effect(used: GenerationSettings) -> set[str]:
    """From noise there is no source to keep or to splice, and without the adapter nothing to scale."""
    from_noise = {"strength", "splice_sources"} if used.mode is GenerationMode.FROM_NOISE else set()
    return from_noise | ({"lora_scale"} if used.unadapted else set())


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
