import json
import shlex

import pytest

from service.contracts.generations import GenerationMode, GenerationParams, GenerationSettings, Origin
from service.contracts.ids import AdapterId, GenerationId
from service.reports.settings_used import remake_request, settings_used


def params(settings: GenerationSettings, **origins: Origin) -> GenerationParams:
    return GenerationParams(
        generation_id=GenerationId("gen_1"), adapter_id=AdapterId("adp_1"), class_name="pits", num_images=3, seed=11,
        settings=settings, origins=origins,
    )  # fmt: skip


def test_a_setting_s_origin_is_the_recorded_one_and_unknown_where_none_was() -> None:
    used = params(GenerationSettings(), strength=Origin.CLIENT, mode=Origin.BASE_MODEL, lora_scale=Origin.SEARCH)
    told = {row.name: row.origin for row in settings_used(used)}
    assert (told["strength"], told["mode"], told["lora_scale"], told["guidance_scale"]) == (
        "given", "default of the base model", "found by the search", "not recorded",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "without_effect"),
    [
        (GenerationSettings(), []),
        (GenerationSettings(mode=GenerationMode.FROM_NOISE), ["strength", "splice_sources"]),
        (GenerationSettings(unadapted=True), ["lora_scale"]),
    ],
)
def test_what_has_no_effect_beside_the_other_settings_is_said(
    settings: GenerationSettings, without_effect: list[str]
) -> None:
    assert [row.name for row in settings_used(params(settings)) if not row.counts] == without_effect


def test_the_command_holds_the_body_as_one_word_of_a_shell() -> None:
    remake = remake_request("/v1/generations", {"adapter_ids": ["it's $HOME"], "seed": 7})
    assert json.loads(shlex.split(remake.command.replace("\\\n", ""))[-1]) == json.loads(remake.body)
