"""`dry_run`: the same refusals as the request itself, a verdict in words, and nothing written."""

import io
from datetime import UTC, datetime
from typing import Any

from PIL import Image, ImageFilter
from sqlalchemy import func, select

from service.store.database import Database
from service.store.tables import Base, WorkerRow
from tests.contract.conftest import World
from tests.fakes.pictures import png

PATH = "/v1/adaptations"
GIB = 2**30


def add_worker(world: World, **columns: Any) -> None:
    with world.database.transaction() as session:
        session.add(WorkerRow(id="w", device="cpu", rss_bytes=1, seen_at=datetime.now(UTC), **columns))


def look(world: World, **asked: Any) -> dict[str, Any]:
    answer = world.client.post(PATH, params={"dry_run": True}, json=asked)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def num_rows(database: Database) -> dict[str, int]:
    with database.reading() as session:
        tables = Base.metadata.sorted_tables
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def test_it_tells_what_would_be_done_and_writes_nothing(world: World) -> None:
    add_worker(world, memory_bytes=8 * GIB)
    dataset = world.dataset({"pits": 9, "scratches": 5})
    before = num_rows(world.database)
    told = look(world, dataset_id=dataset["id"], settings={"lora": {"steps": 10}})
    assert told == look(world, dataset_id=dataset["id"], settings={"lora": {"steps": 10}})
    assert num_rows(world.database) == before
    assert world.sender.sent == []
    assert [one["class_name"] for one in told["classes"]] == ["pits", "scratches"]
    assert (told["settings"]["lora"]["steps"], told["settings"]["textual_inversion"]["steps"]) == (10, 100)
    assert (told["basis"], told["num_earlier_jobs"], told["seconds_waiting"]) == ("registered_default", 0, 0)
    assert told["seconds"]["low"] < told["seconds"]["expected"] < told["seconds"]["high"]
    assert told["memory"]["worker_bytes"] == 8 * GIB


def test_faults_stand_with_their_class_and_decide_the_verdict(world: World) -> None:
    add_worker(world, memory_bytes=8 * GIB)
    told = look(world, dataset_id=world.dataset({"pits": 9, "scratches": 5})["id"], classes=["scratches"])
    (scratches,) = told["classes"]
    assert {one["code"] for one in scratches["warnings"]} == {
        "few_images", "few_validation_images", "few_images_for_class_gate", "few_images_for_recognition",
    }  # fmt: skip
    (needed,) = (one["message"] for one in scratches["warnings"] if one["code"] == "few_images_for_recognition")
    assert needed.endswith("1 test image")
    assert told["verdict"] == "ready_with_warnings"
    assert "few validation images (1)" in told["sentence"]


def test_it_is_not_advised_without_a_worker_or_without_room_for_the_job(world: World) -> None:
    dataset_id = world.dataset({"pits": 9})["id"]
    told = look(world, dataset_id=dataset_id)
    assert (told["verdict"], told["seconds_waiting"]) == ("not_advised", None)
    assert "no worker was seen lately" in told["sentence"]
    add_worker(world, memory_bytes=GIB // 4)
    told = look(world, dataset_id=dataset_id)
    assert (told["verdict"], [one["code"] for one in told["warnings"]]) == ("not_advised", ["too_little_memory"])


def test_whatever_the_request_is_refused_for_the_look_is_refused_for_too(world: World) -> None:
    dataset_id = world.dataset({"pits": 9, "holes": 2})["id"]
    refused: list[dict[str, Any]] = [
        {"dataset_id": "ds_none"},
        {"dataset_id": dataset_id},
        {"dataset_id": dataset_id, "classes": ["rust"]},
        {"dataset_id": dataset_id, "classes": ["pits"], "base_model": "sd99"},
        {"dataset_id": dataset_id, "classes": ["pits"], "settings": {"lora": {"steps": -1}}},
    ]
    for body in refused:
        wet, dry = world.client.post(PATH, json=body), world.client.post(f"{PATH}?dry_run=true", json=body)
        assert wet.status_code == dry.status_code >= 400
        told, looked = ({**one.json(), "request_id": None} for one in (wet, dry))
        assert told == looked
    for _ in range(20):
        assert world.client.post(PATH, json={"dataset_id": dataset_id, "classes": ["pits"]}).status_code == 202
    full = world.client.post(f"{PATH}?dry_run=true", json={"dataset_id": dataset_id, "classes": ["pits"]})
    assert (full.status_code, full.json()["code"]) == (429, "queue_full")


def test_an_image_out_of_focus_is_named(world: World) -> None:
    sharp = [(f"pits/{seed}.png", png(seed)) for seed in range(9)]
    files = [("images", one) for one in [*sharp, ("pits/soft.png", out_of_focus(png(9)))]]
    told = look(world, dataset_id=world.client.post("/v1/datasets", files=files).json()["id"])
    (warning,) = [one for one in told["classes"][0]["warnings"] if one["code"] == "blurred"]
    assert warning["message"] == "1 image is far less sharp than the others: soft.png"


def out_of_focus(data: bytes) -> bytes:
    stream = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.filter(ImageFilter.GaussianBlur(3)).save(stream, "PNG")
    return stream.getvalue()
