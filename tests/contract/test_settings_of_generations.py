"""The settings of a generation: what is told of them in the API and the report, and whose they are said to be."""

import re
from typing import Any

from service.contracts.search import FoundSettings
from service.store.tables import AdapterRow
from tests.contract.conftest import World

SPLICED = FoundSettings(strength=0.5, guidance_scale=3.5, lora_scale=1.0, num_inference_steps=20, splice_sources=True)


def searched(world: World, found: dict[str, FoundSettings]) -> dict[str, Any]:
    """A finished adaptation, whose search found these for the classes."""
    adaptation = world.adaptation(dict.fromkeys(found, 4))
    made = world.finish(adaptation)
    with world.database.transaction() as session:
        for adapter_id in made:
            row = session.get_one(AdapterRow, adapter_id)
            row.found = found[row.class_name].model_dump(mode="json")
    return adaptation


def generated(world: World, adaptation: dict[str, Any], **settings: object) -> dict[str, Any]:
    body = {"adaptation_id": adaptation["id"], "num_images": 3, "settings": settings}
    answer = world.client.post("/v1/generations", json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def origins_on_the_page(world: World, generation: dict[str, Any]) -> dict[str, str]:
    page = world.client.get(generation["links"]["report_html"]).text
    rows = re.findall(r'<th scope="row"><code>(\w+)</code></th><td>[^<]*</td><td>([^<]*)</td>', page)
    return dict(rows)


def test_what_the_client_gave_is_never_said_to_be_found_even_where_it_is_equal(world: World) -> None:
    adaptation = searched(world, {"pits": SPLICED})
    given = origins_on_the_page(world, generated(world, adaptation, strength=0.5, splice_sources=True, lora_scale=1.0))
    assert {given[name] for name in ("strength", "splice_sources", "lora_scale")} == {"given"}
    assert (given["guidance_scale"], given["mode"]) == ("found by the search", "default of the base model")
    baseline = origins_on_the_page(world, generated(world, adaptation, unadapted=True))
    assert (baseline["unadapted"], baseline["strength"]) == ("given", "default of the base model")


def test_settings_at_the_top_are_those_of_every_class_and_null_where_classes_differ(world: World) -> None:
    adaptation = searched(world, {"pits": SPLICED, "rust": SPLICED.model_copy(update={"guidance_scale": 2.5})})
    generation = generated(world, adaptation, num_inference_steps=30)
    listed = world.client.get(generation["links"]["self"]).json()
    assert listed["settings"] == {
        "mode": "image_oriented", "strength": 0.5, "guidance_scale": None, "num_inference_steps": 30,
        "lora_scale": 1.0, "splice_sources": True, "unadapted": False,
    }  # fmt: skip
    assert [one["settings"]["guidance_scale"] for one in listed["classes"]] == [3.5, 2.5]
