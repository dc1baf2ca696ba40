"""Keep or reject: decisions about synthetic images, and what becomes of the rejected ones."""

import csv
import json
from datetime import UTC, datetime
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZipFile

import pytest

from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobState
from service.contracts.keys import Scope
from service.keys import mint, server_secret
from service.settings import Settings
from service.store import jobs
from tests.contract.conftest import World
from tests.contract.test_recognitions import generated, three_classes
from tests.fakes import measured
from tests.fakes.reading import read_page


@pytest.fixture
def generation(world: World) -> dict[str, Any]:
    """Three finished classes of three images each."""
    return generated(world, three_classes(world)["id"])


def decide(world: World, generation: dict[str, Any], *decisions: tuple[str, int, str | None]) -> Any:
    named = [{"class_name": name, "number": number, "decision": what} for name, number, what in decisions]
    return world.client.put(f"{generation['links']['images']}/decisions", json={"decisions": named})


def images(world: World, generation: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    answer = world.client.get(generation["links"]["images"], params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def places(found: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(one["class_name"], one["number"]) for one in found]


def archive(world: World, generation: dict[str, Any], **params: Any) -> tuple[list[str], dict[str, Any]]:
    """File names and the manifest."""
    answer = world.client.get(generation["links"]["archive"], params=params)
    assert answer.status_code == 200, answer.text
    with ZipFile(BytesIO(answer.content)) as opened:
        return sorted(opened.namelist()), json.loads(opened.read("manifest.json"))


def test_reports_tell_what_people_decided(world: World, generation: dict[str, Any]) -> None:
    for name in ("pits", "rust"):
        job_id = next(job["id"] for job in generation["jobs"] if job["class_name"] == name)
        with world.database.transaction() as session:
            row = jobs.get(session, DEFAULT_TENANT, job_id)
            row.state, row.result = JobState.SUCCEEDED, measured.generation_result().model_dump(mode="json")
    assert decide(world, generation, ("pits", 0, "keep"), ("pits", 2, "reject")).status_code == 200
    told = world.client.get(generation["links"]["report"]).json()["decisions"]
    assert told["pits"] == {"keep": 1, "reject": 1, "undecided": 1}
    assert told["rust"] == {"keep": 0, "reject": 0, "undecided": 3}
    words = read_page(world.client.get(generation["links"]["report_html"]).text).words
    assert "Looked through: 1 kept, 1 rejected, 1 not decided. Rejected images are left out of the archive." in words
    assert words.count("Nobody has decided about these images yet.") == 2  # rust and scale


def test_a_recognition_s_report_tells_which_images_it_left_out(world: World) -> None:
    dataset = three_classes(world)
    generation = generated(world, dataset["id"])
    decide(world, generation, ("pits", 0, "reject"), ("pits", 2, "reject"), ("rust", 1, "reject"))
    body = {"dataset_id": dataset["id"], "generation_id": generation["id"]}
    recognition = world.client.post("/v1/recognitions", json=body).json()
    words = read_page(world.client.get(recognition["links"]["report_html"]).text).words
    assert "left out, because rejected 2 of pits, 1 of rust" in words


def test_decisions_are_stored_counted_and_filtered_by_and_may_be_taken_back(
    world: World, generation: dict[str, Any]
) -> None:
    answer = decide(world, generation, ("pits", 0, "keep"), ("rust", 2, "reject"), ("rust", 1, "reject"))
    assert answer.status_code == 200, answer.text
    undecided = {"keep": 0, "reject": 0, "undecided": 3}
    assert answer.json()["decisions"] == {
        "pits": {"keep": 1, "reject": 0, "undecided": 2},
        "rust": {"keep": 0, "reject": 2, "undecided": 1},
        "scale": undecided,
    }
    classes = world.client.get(generation["links"]["self"]).json()["classes"]
    assert {one["class_name"]: one["decisions"] for one in classes} == answer.json()["decisions"]
    assert {one["num_published"] for one in classes} == {3}
    assert places(images(world, generation, decision="reject")) == [("rust", 1), ("rust", 2)]
    assert places(images(world, generation, decision="keep")) == [("pits", 0)]
    assert places(images(world, generation, decision="undecided", class_name="rust")) == [("rust", 0)]
    (kept,) = images(world, generation, decision="keep")
    assert (kept["decision"], kept["decided_by"]) == ("keep", "default")
    assert decide(world, generation, ("rust", 1, None), ("rust", 2, None)).json()["decisions"]["rust"] == undecided
    (taken_back,) = [one for one in images(world, generation, class_name="rust") if one["number"] == 1]
    assert (taken_back["decision"], taken_back["decided_at"], taken_back["decided_by"]) == (None, None, None)


def test_the_same_decision_again_keeps_who_was_first_and_when_and_names_the_key(
    world: World, settings: Settings, generation: dict[str, Any]
) -> None:
    assert decide(world, generation, ("pits", 1, "reject")).status_code == 200
    (first,) = images(world, generation, decision="reject")
    assert decide(world, generation, ("pits", 1, "reject")).status_code == 200
    assert images(world, generation, decision="reject") == [first]
    asking = settings.model_copy(update={"require_keys": True})
    keys = {
        name: mint(
            world.database, server_secret(asking), tenant_id=DEFAULT_TENANT, name=name, scopes=[scope],
            now=datetime.now(UTC), expires_at=None,
        )[0]
        for name, scope in (("QA line 3", Scope.WRITE), ("screen", Scope.READ))
    }  # fmt: skip
    from starlette.testclient import TestClient

    from service.main import create_app

    keyed = TestClient(create_app(asking, database=world.database, artifacts=world.artifacts, send=world.sender))
    body = {"decisions": [{"class_name": "pits", "number": 1, "decision": "keep"}]}
    path = f"{generation['links']['images']}/decisions"
    assert keyed.put(path, json=body, headers={"X-API-Key": keys["screen"]}).status_code == 403
    assert keyed.put(path, json=body, headers={"X-API-Key": keys["QA line 3"]}).status_code == 200
    (kept,) = images(world, generation, decision="keep")
    assert (kept["decided_by"], kept["decided_at"] > first["decided_at"]) == ("QA line 3", True)


def test_an_unknown_image_or_one_named_twice_refuses_the_whole_request(
    world: World, generation: dict[str, Any]
) -> None:
    for wrong, status, code in (
        ([("pits", 0, "reject"), ("pits", 9, "reject")], 404, "not_found"),
        ([("pits", 0, "reject"), ("dents", 0, "keep")], 404, "not_found"),
        ([("pits", 0, "reject"), ("pits", 0, "keep")], 422, "decided_twice"),
        ([("pits", 0, "perhaps")], 422, "invalid_request"),
        ([], 422, "invalid_request"),
        ([("pits", 0, "keep")] * 1001, 413, "request_too_large"),
    ):
        answer = decide(world, generation, *wrong)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert images(world, generation, decision="undecided") == images(world, generation)
    gone = world.client.put("/v1/generations/gen_0/images/decisions", json={"decisions": []})
    assert gone.status_code == 422


def test_the_archive_leaves_rejected_images_out_and_says_so(world: World, generation: dict[str, Any]) -> None:
    path = generation["links"]["archive"]
    names, manifest = archive(world, generation)
    assert len(names) == 10
    before = world.client.get(path)
    assert world.client.get(path, headers={"If-None-Match": before.headers["ETag"]}).status_code == 304
    decide(world, generation, ("pits", 0, "keep"), ("pits", 1, "reject"))
    stale = world.client.get(path, headers={"If-None-Match": before.headers["ETag"]})
    assert (stale.status_code, stale.headers["ETag"] == before.headers["ETag"]) == (200, False)
    names, manifest = archive(world, generation)
    assert "pits/000001.png" not in names and len(names) == 9
    assert [one["decision"] for one in manifest["images"] if one["class_name"] == "pits"] == ["keep", None]
    assert manifest["decisions"]["pits"] == {"keep": 1, "reject": 1, "undecided": 1}
    assert (manifest["include_rejected"], manifest["left_out"]) == (False, {"rejected": 1})
    names, manifest = archive(world, generation, include_rejected=True)
    assert len(names) == 10
    assert [one["decision"] for one in manifest["images"]][:2] == ["keep", "reject"]
    assert (manifest["include_rejected"], manifest["left_out"]) == (True, {})


def test_an_archive_of_nothing_but_rejected_images_is_refused_with_the_way_to_have_it(
    world: World, generation: dict[str, Any]
) -> None:
    decide(world, generation, *((*place, "reject") for place in places(images(world, generation))))
    answer = world.client.get(generation["links"]["archive"])
    assert (answer.status_code, answer.json()["code"]) == (409, "all_images_rejected")
    assert len(archive(world, generation, include_rejected=True)[0]) == 10


def test_a_generation_s_table_tells_the_decisions(world: World, generation: dict[str, Any]) -> None:
    decide(world, generation, ("pits", 1, "reject"))
    answer = world.client.get(generation["links"]["report_csv"])
    assert answer.status_code == 200, answer.text
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [(row["decision"], row["decided_by"]) for row in rows[:3]] == [("", ""), ("reject", "default"), ("", "")]


def test_a_recognition_learns_from_what_was_not_rejected_when_it_was_asked_for(world: World) -> None:
    dataset = three_classes(world)
    generation = generated(world, dataset["id"])
    decide(world, generation, ("pits", 0, "keep"), ("pits", 2, "reject"), *(("rust", n, "reject") for n in range(3)))
    body = {"dataset_id": dataset["id"], "generation_id": generation["id"]}
    recognition = world.client.post("/v1/recognitions", json=body).json()
    decide(world, generation, ("pits", 2, "keep"), ("pits", 0, "reject"), ("rust", 0, "keep"))
    with world.database.reading() as session:
        params = jobs.get(session, DEFAULT_TENANT, recognition["jobs"][0]["id"]).params
    assert (params["classes"], params["rejected"]) == (["pits", "scale"], {"pits": [2]})
    assert params["notes"] == [
        "Left out: every image of class 'rust' was rejected.",
        "Rejected images are left out: 1 of class 'pits'.",
    ]
    assert world.client.get(recognition["links"]["self"]).json()["rejected"] == {"pits": [2]}
    assert world.client.get(recognition["links"]["report"]).json()["rejected"] == {"pits": [2]}
    named = world.client.post("/v1/recognitions", json={**body, "classes": ["pits", "rust"]})
    assert named.status_code == 202
    decide(world, generation, ("rust", 0, "reject"))
    named = world.client.post("/v1/recognitions", json={**body, "classes": ["pits", "rust"]})
    assert (named.status_code, named.json()["code"]) == (422, "no_synthetic_images")
