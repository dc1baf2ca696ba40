import json
import shlex

from service.contracts.generations import GenerationMode, GenerationSettings
from service.reports.settings_used import remake_request, settings_used
from tests.fakes.measured import FOUND


def origins(used: GenerationSettings, *, found: bool = True, defaults: bool = True) -> dict[str, str]:
    rows = settings_used(used, FOUND if found else None, GenerationSettings() if defaults else None)
    return {row.name: row.origin for row in rows}


def test_a_setting_is_from_the_search_the_client_or_the_base_model() -> None:
    used = GenerationSettings(**FOUND.model_dump()).model_copy(update={"lora_scale": 0.5})
    assert origins(used) == {
        "mode": "default of the base model", "strength": "found by the search", "guidance_scale": "found by the search",
        "num_inference_steps": "found by the search", "splice_sources": "found by the search", "lora_scale": "given",
        "unadapted": "default of the base model",
    }  # fmt: skip
    assert set(origins(used, found=False, defaults=False).values()) == {"not recorded"}


def test_the_unadapted_baseline_takes_nothing_from_the_search() -> None:
    used = GenerationSettings(**FOUND.model_dump()).model_copy(update={"unadapted": True})
    assert origins(used)["strength"] == "given"


def test_strength_is_said_to_have_no_effect_from_noise() -> None:
    rows = settings_used(GenerationSettings(mode=GenerationMode.FROM_NOISE), None, GenerationSettings())
    assert [row.name for row in rows if not row.counts] == ["strength"]


def test_the_command_holds_the_body_as_one_word_of_a_shell() -> None:
    remake = remake_request("/v1/generations", {"adapter_ids": ["it's $HOME"], "seed": 7})
    assert json.loads(shlex.split(remake.command.replace("\\\n", ""))[-1]) == json.loads(remake.body)
