import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from service.contracts.generations import GeneratedImage, GenerationResult
from service.contracts.ids import DEFAULT_TENANT, GenerationId, ImageId, JobId, Sha256
from service.contracts.jobs import JobKind, JobState, Progress
from service.errors import StorageFull
from service.registry import load_base_models
from service.settings import Settings
from service.store import generations, jobs
from tests.contract.conftest import World
from tests.fakes.pictures import png


def publish(world: World, generation: dict[str, Any], source_image_id: str) -> None:
    """Do what a worker does at the end of each generation job."""
    for one, job in zip(generation["classes"], generation["jobs"], strict=True):
        stored = [world.artifacts.put_bytes(png(900 + number)) for number in range(one["num_images"])]
        images = [
            GeneratedImage(
                class_name=one["class_name"],
                number=number,
                sha256=artifact.sha256,
                size_bytes=artifact.size_bytes,
                width_px=32,
                height_px=32,
                mode="L",
                seed=number,
                source_image_id=ImageId(source_image_id),
            )
            for number, artifact in enumerate(stored)
        ]
        result = GenerationResult(
            num_images=len(images),
            stage_seconds={"denoise": 1.0},
            denoising_steps=12,
            quality=None,
            contact_sheet=Sha256(stored[0].sha256),
        )
        with world.database.transaction() as session:
            generations.insert_images(
                session, world.tenant_id, GenerationId(generation["id"]), JobId(job["id"]), images
            )
            row = jobs.get(session, world.tenant_id, job["id"])
            row.state, row.result, row.revision = JobState.SUCCEEDED, result.model_dump(mode="json"), 3


def generated(world: World, num_images: object = 3) -> dict[str, Any]:
    adaptation = world.adaptation({"pits": 4, "scale": 4})
    world.finish(adaptation)
    body = {"adaptation_id": adaptation["id"], "num_images": num_images, "seed": 7}
    answer = world.client.post("/v1/generations", json=body)
    assert answer.status_code == 202, answer.text
    generation: dict[str, Any] = answer.json()
    return generation


def test_an_adaptation_is_one_queued_job_a_class_and_wakes_workers_after_the_commit(world: World) -> None:
    dataset = world.dataset({"pits": 4, "scale": 5})
    body = {"dataset_id": dataset["id"], "settings": {"lora": {"steps": 9}}}
    answer = world.client.post("/v1/adaptations", json=body)
    adaptation = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/adaptations/{adaptation['id']}"
    assert "Retry-After" in answer.headers
    assert [job["class_name"] for job in adaptation["jobs"]] == ["pits", "scale"]
    assert adaptation["dataset_version_id"] == dataset["version"]["id"]
    assert adaptation["settings"]["lora"]["steps"] == 9
    assert adaptation["settings"]["lora"]["rank"] == 16
    assert world.sender.sent == [(JobKind.ADAPTATION, job["id"]) for job in adaptation["jobs"]]


@pytest.mark.parametrize("reachable", [True, False])
def test_only_a_delivered_wake_up_is_noted_so_that_the_sweep_sends_the_others(world: World, reachable: bool) -> None:
    world.sender.reachable = reachable
    job = world.adaptation({"pits": 4})["jobs"][0]
    with world.database.reading() as session:
        assert (jobs.get(session, DEFAULT_TENANT, job["id"]).wakeup_at is not None) is reachable


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"base_model": "sd99"}, 422, "unknown_base_model", "base_model"),
        ({"classes": ["cracks"]}, 422, "unknown_class", "classes"),
        ({"classes": ["lonely"]}, 422, "too_few_images", "classes"),
        ({"classes": []}, 422, "invalid_request", "classes"),
        ({"dataset_id": "ds_0"}, 404, "not_found", "dataset_id"),
        ({"dataset_version_id": "dsv_0"}, 404, "not_found", "dataset_version_id"),
        ({"settings": {"lora": {"rank": 0}}}, 422, "invalid_request", "settings.lora.rank"),
        ({"colour": "red"}, 422, "invalid_request", "colour"),
    ],
)
def test_a_wrong_adaptation_is_told_what_and_where(
    world: World, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    dataset = world.dataset({"pits": 4, "lonely": 1})
    answer = world.client.post("/v1/adaptations", json={"dataset_id": dataset["id"], "classes": ["pits"], **change})
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)
    assert problem["status"] == status
    assert problem["remedy"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert world.sender.sent == []
    if code == "unknown_base_model":
        assert "mini" in problem["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"num_images": 0}, "num_images"),
        ({"num_images": 10_000_000}, "num_images"),
        ({"num_images": {"pits": 10_000_000}}, "num_images.pits"),
        ({"num_images": {"cracks": 3}}, "num_images.cracks"),
        ({"num_images": "24"}, "num_images"),
        ({"settings": {"strength": 0}}, "settings.strength"),
        ({"settings": {"strength": 1.5}}, "settings.strength"),
        ({"settings": {"strength": 0.01}}, "settings.strength"),
        ({"settings": {"strength": 0.39, "splice_sources": True}}, "settings.strength"),
        ({"adapter_ids": ["adp_0"]}, "adaptation_id"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wrong_generation_is_told_what_and_where(world: World, change: dict[str, Any], field: str) -> None:
    adaptation = world.adaptation({"pits": 4})
    world.finish(adaptation)
    body = {"adaptation_id": adaptation["id"], "num_images": 3, **change}
    answer = world.client.post("/v1/generations", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_generation_waits_for_its_adaptation_unless_ready_classes_are_named(world: World) -> None:
    adaptation = world.adaptation({"pits": 4, "scale": 4})
    world.finish({**adaptation, "jobs": adaptation["jobs"][:1]})
    body = {"adaptation_id": adaptation["id"], "num_images": 3}
    answer = world.client.post("/v1/generations", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "adaptation_unfinished")
    assert world.client.post("/v1/generations", json={**body, "num_images": {"pits": 3}}).status_code == 202


def test_each_class_has_a_seed_of_its_own_that_other_classes_do_not_change(world: World) -> None:
    both = generated(world)["classes"]
    one = generated(world, {"pits": 3})["classes"]
    assert both[0]["seed"] != both[1]["seed"]
    assert both[0]["seed"] == one[0]["seed"]


def test_published_images_are_listed_in_order_and_come_with_their_lineage(world: World) -> None:
    generation = generated(world)
    assert world.client.get(generation["links"]["archive"]).status_code == 409
    publish(world, generation, "img_gone")
    path = generation["links"]["images"]
    first = world.client.get(path, params={"limit": 4}).json()
    rest = world.client.get(path, params={"limit": 4, "cursor": first["next_cursor"]}).json()
    listed = [(one["class_name"], one["number"]) for one in first["items"] + rest["items"]]
    assert listed == [(name, number) for name in ("pits", "scale") for number in range(3)]
    assert rest["next_cursor"] is None
    content = world.client.get(first["items"][0]["links"]["content"])
    assert content.content == png(900)
    again = world.client.get(first["items"][0]["links"]["content"], headers={"If-None-Match": content.headers["ETag"]})
    assert again.status_code == 304
    assert world.client.get(generation["classes"][0]["links"]["contact_sheet"]).content == png(900)
    report = world.client.get(generation["links"]["report"]).json()
    assert set(report["results"]) == {"pits", "scale"}


def test_the_archive_is_an_image_folder_with_a_manifest(world: World) -> None:
    generation = generated(world)
    publish(world, generation, "img_gone")
    archive = ZipFile(BytesIO(world.client.get(generation["links"]["archive"]).content))
    assert archive.testzip() is None
    assert sorted(archive.namelist())[1:] == [
        f"{name}/{number:06d}.png" for name in ("pits", "scale") for number in range(3)
    ]
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["images"][0]["synthetic"] is True
    assert manifest["classes"]["pits"]["base_model"] == "mini"
    registered = load_base_models(Settings())["mini"]
    assert manifest["classes"]["pits"]["params"]["settings"]["strength"] == registered.generation.strength
    assert manifest["state"] == world.client.get(generation["links"]["self"]).json()["state"]


def test_an_adapter_is_served_with_a_range_and_a_content_hash(world: World) -> None:
    adapter_id = world.finish(world.adaptation({"pits": 4}))[0]
    whole = world.client.get(f"/v1/adapters/{adapter_id}/archive")
    part = world.client.get(f"/v1/adapters/{adapter_id}/archive", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, whole.content[:4])
    assert world.client.get(f"/v1/adapters/{adapter_id}").json()["archive_sha256"] in whole.headers["ETag"]


def test_what_is_cited_cannot_be_deleted_and_then_it_can(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    dataset = f"/v1/datasets/{adaptation['dataset_id']}"
    assert (world.client.delete(dataset).status_code, world.client.delete(dataset).json()["code"]) == (
        409,
        "still_cited",
    )
    adapter = f"/v1/adapters/{world.finish(adaptation)[0]}"
    assert world.client.delete(dataset).status_code == 409
    body = {"adaptation_id": adaptation["id"], "num_images": 1}
    job = world.client.post("/v1/generations", json=body).json()["jobs"][0]
    assert world.client.delete(adapter).status_code == 409
    world.client.post(job["links"]["cancel"])
    assert world.client.delete(adapter).status_code == 204
    assert world.client.delete(dataset).status_code == 204
    assert world.client.get(dataset).status_code == 410
    assert world.client.get(f"/v1/adaptations/{adaptation['id']}").status_code == 410


def test_an_evaluation_fixes_its_versions_and_needs_images(world: World) -> None:
    dataset = world.dataset({"pits": 4})
    real = {"source": "dataset", "dataset_id": dataset["id"], "class_name": "pits", "split": "train"}
    answer = world.client.post("/v1/evaluations", json={"real": real, "other": real})
    assert answer.status_code == 202
    assert answer.json()["request"]["real"]["dataset_version_id"] == dataset["version"]["id"]
    assert world.client.delete(f"/v1/datasets/{dataset['id']}").status_code == 409
    named = world.client.post("/v1/evaluations", json={"real": real, "other": real, "extractor": "mini"})
    assert named.json()["request"]["extractor"] == "mini"
    unknown = world.client.post("/v1/evaluations", json={"real": real, "other": real, "extractor": "vgg"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "extractor")
    empty = world.client.post("/v1/evaluations", json={"real": {**real, "split": "test"}, "other": real})
    assert (empty.status_code, empty.json()["code"]) == (422, "too_few_images")
    single = world.dataset({"rust": 1})["id"]
    few = world.client.post(
        "/v1/evaluations", json={"real": {**real, "dataset_id": single, "class_name": "rust"}, "other": real}
    )
    assert "class 'rust' has 1 image in split train" in few.json()["detail"]
    generation = generated(world)
    other = {"source": "generation", "generation_id": generation["id"], "class_name": "pits"}
    early = world.client.post("/v1/evaluations", json={"real": real, "other": other})
    assert (early.status_code, early.json()["code"]) == (409, "generation_unfinished")


def test_synthetic_images_are_no_reference_and_the_refusal_says_how_to_compare_two_generations(world: World) -> None:
    made = {"source": "generation", "generation_id": "gen_x", "class_name": "pits"}
    refused = world.client.post("/v1/evaluations", json={"real": made, "other": made})
    problem = refused.json()
    assert (refused.status_code, problem["field"]) == (422, "real")
    assert "evaluate each against the same real images" in problem["detail"]


def test_a_full_queue_is_a_429_and_records_nothing(world: World) -> None:
    dataset = world.dataset({"pits": 4})
    answers = [world.client.post("/v1/adaptations", json={"dataset_id": dataset["id"]}) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [202] * 20 + [429]
    assert answers[-1].json()["code"] == "queue_full"
    assert len(world.client.get("/v1/adaptations").json()["items"]) == 20


def test_a_queued_job_is_canceled_at_once_and_canceling_again_changes_nothing(world: World) -> None:
    job = world.adaptation({"pits": 4})["jobs"][0]
    first = world.client.post(job["links"]["cancel"]).json()
    again = world.client.post(job["links"]["cancel"]).json()
    assert first["state"] == "canceled"
    assert again == first
    assert world.client.get(f"/v1/adaptations/{job['resource_id']}").json()["state"] == "canceled"


def test_a_running_job_is_asked_to_stop_once(world: World) -> None:
    job = world.adaptation({"pits": 4})["jobs"][0]
    with world.database.transaction() as session:
        jobs.get(session, DEFAULT_TENANT, job["id"]).state = JobState.RUNNING
    first = world.client.post(job["links"]["cancel"]).json()
    again = world.client.post(job["links"]["cancel"]).json()
    assert (first["state"], first["cancel_requested_at"] is not None) == ("running", True)
    assert again["revision"] == first["revision"] == 1


def test_polling_gives_304_until_something_happens_and_the_estimate_does_not_count(world: World) -> None:
    queued = world.adaptation({"pits": 4, "scale": 4})["jobs"]
    path = queued[1]["links"]["self"]
    first = world.client.get(path)
    fresh = {"If-None-Match": first.headers["ETag"]}
    assert (first.json()["queue_position"], first.headers["Retry-After"]) == (2, "2")
    assert world.client.get(path, headers=fresh).status_code == 304
    world.client.post(queued[0]["links"]["cancel"])
    moved = world.client.get(path, headers=fresh)
    assert (moved.status_code, moved.json()["queue_position"]) == (200, 1)
    progress = Progress(stage="lora", step=1, total=9, fraction=0.5, seconds_left=12.0)
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, queued[1]["id"])
        row.state, row.revision, row.progress = JobState.RUNNING, 5, progress.model_dump(mode="json")
    running = world.client.get(path)
    assert (running.json()["seconds_left"], running.json()["progress"]["stage"]) == (12.0, "lora")
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, queued[1]["id"])
        row.progress = progress.model_copy(update={"seconds_left": 3.0}).model_dump(mode="json")
    assert world.client.get(path, headers={"If-None-Match": running.headers["ETag"]}).status_code == 304


def test_jobs_are_listed_by_filter_and_cursor_without_gaps_or_repeats(world: World) -> None:
    adaptation = world.adaptation(dict.fromkeys(("a", "b", "c", "d", "e"), 4))
    world.client.post(adaptation["jobs"][2]["links"]["cancel"])
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = world.client.get("/v1/jobs", params=params).json()
        seen += [job["id"] for job in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert sorted(seen) == sorted(job["id"] for job in adaptation["jobs"])
    found = world.client.get("/v1/jobs", params={"state": "canceled", "kind": "adaptation"}).json()["items"]
    assert [job["class_name"] for job in found] == ["c"]
    for cursor in ("nonsense", "WzFd", "WyJ4IiwieSJd"):
        answer = world.client.get("/v1/jobs", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


def test_now_is_utc_in_every_answer(world: World) -> None:
    created = datetime.fromisoformat(world.dataset({"pits": 1})["created_at"])
    assert created.utcoffset() == datetime.now(UTC).utcoffset()


def test_an_unknown_adapter_is_told_by_the_name_the_client_gave_the_field(world: World) -> None:
    answer = world.client.post("/v1/generations", json={"adapter_ids": ["adp_0"], "num_images": 3})
    assert (answer.status_code, answer.json()["field"]) == (404, "adapter_ids")


def test_work_that_was_accepted_is_answered_so_even_if_the_wake_up_cannot_be_noted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageFull("no room is left")

    dataset = world.dataset({"pits": 4})
    monkeypatch.setattr(jobs, "mark_woken", full)
    answer = world.client.post("/v1/adaptations", json={"dataset_id": dataset["id"]})
    assert answer.status_code == 202
    assert len(world.client.get("/v1/adaptations").json()["items"]) == 1
