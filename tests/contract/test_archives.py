"""A generation's archive: its layouts, what may not be in it, and downloads that break off."""

import hashlib
import json
import re
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from service.contracts.generations import GeneratedImage, GenerationResult
from service.contracts.ids import DEFAULT_TENANT, GenerationId, ImageId, JobId, Sha256
from service.contracts.jobs import JobState
from service.store import generations, jobs
from tests.contract.conftest import World
from tests.fakes.pictures import png

SPLITS = ("train",) * 4 + ("validation", "test")


def uploaded(world: World, classes: tuple[str, ...], groups: tuple[str | None, ...] = (None,) * 6) -> dict[str, Any]:
    """Six images of each class: four to train with, one to validate, one to test."""
    files = [
        ("images", (f"{name}/{split}-{number}.png", png(100 * index + number)))
        for index, name in enumerate(classes)
        for number, split in enumerate(SPLITS)
    ]
    data = {"splits": list(SPLITS) * len(classes), "groups": [one or "" for one in groups] * len(classes)}
    answer = world.client.post("/v1/datasets", files=files, data=data)
    assert answer.status_code == 201, answer.text
    dataset: dict[str, Any] = answer.json()
    return dataset


def images_of(world: World, dataset: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By ``class/filename``."""
    items = world.client.get(f"/v1/datasets/{dataset['id']}/images", params={"limit": 200}).json()["items"]
    return {f"{one['class_name']}/{one['filename']}": one for one in items}


def made(world: World, dataset: dict[str, Any], adapted: list[str], num_images: int = 2) -> dict[str, Any]:
    """A generation of these classes whose images were published, the n-th made from the n-th train image."""
    body = {"dataset_id": dataset["id"], "classes": adapted}
    adaptation = world.client.post("/v1/adaptations", json=body).json()
    world.finish(adaptation)
    answer = world.client.post("/v1/generations", json={"adaptation_id": adaptation["id"], "num_images": num_images})
    assert answer.status_code == 202, answer.text
    generation: dict[str, Any] = answer.json()
    real = images_of(world, dataset)
    for job in generation["jobs"]:
        name = job["class_name"]
        images = [
            synthetic(world, name, number, real[f"{name}/train-{number}.png"]["id"]) for number in range(num_images)
        ]
        with world.database.transaction() as session:
            generations.insert_images(session, DEFAULT_TENANT, GenerationId(generation["id"]), JobId(job["id"]), images)
    return generation


def synthetic(world: World, name: str, number: int, source_image_id: str, second: str | None = None) -> GeneratedImage:
    stored = world.artifacts.put_bytes(png(9000 + 10 * len(name) + number))
    return GeneratedImage(
        class_name=name, number=number, sha256=stored.sha256, size_bytes=stored.size_bytes, width_px=32, height_px=32,
        mode="L", seed=2**62 + number, source_image_id=ImageId(source_image_id),
        second_source_image_id=ImageId(second) if second is not None else None,
    )  # fmt: skip


def opened(world: World, generation: dict[str, Any], **params: object) -> tuple[ZipFile, dict[str, Any]]:
    answer = world.client.get(generation["links"]["archive"], params=params)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    archive = ZipFile(BytesIO(answer.content))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    for image in manifest["images"]:
        assert hashlib.sha256(archive.read(image["file"])).hexdigest() == image["sha256"]
    return archive, manifest


def pictures(archive: ZipFile) -> list[str]:
    return sorted(name for name in archive.namelist() if name.endswith(".png"))


def test_a_download_that_broke_off_goes_on_with_the_same_bytes(world: World) -> None:
    generation = made(world, uploaded(world, ("pits", "scale")), ["pits", "scale"])
    path = generation["links"]["archive"]
    whole = world.client.get(path)
    length = len(whole.content)
    assert (whole.headers["Content-Length"], whole.headers["Accept-Ranges"]) == (str(length), "bytes")
    etag = whole.headers["ETag"]
    rest = world.client.get(path, headers={"Range": "bytes=100-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    assert rest.headers["Content-Range"] == f"bytes 100-{length - 1}/{length}"
    assert world.client.get(path, headers={"Range": "bytes=7-7"}).content == whole.content[7:8]
    assert world.client.get(path, headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    changed = world.client.get(path, headers={"Range": "bytes=100-", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    for nonsense in ("bytes=9-1", "lines=1-2", "bytes=0-1,4-5", "bytes=-"):
        assert world.client.get(path, headers={"Range": nonsense}).content == whole.content
    behind = world.client.get(path, headers={"Range": f"bytes={length}-"})
    assert (behind.status_code, behind.headers["Content-Range"]) == (416, f"bytes */{length}")
    fresh = world.client.get(path, headers={"If-None-Match": etag})
    assert (fresh.status_code, fresh.content) == (304, b"")
    assert world.client.get(path, params={"format": "coco"}).headers["ETag"] != etag


def test_real_train_images_come_along_and_never_those_of_validation_and_test(world: World) -> None:
    dataset = uploaded(world, ("pits", "scale"))
    archive, manifest = opened(world, made(world, dataset, ["pits"]), include_real=True)
    real = images_of(world, dataset)
    trained = {real[f"pits/train-{number}.png"]["id"] for number in range(4)}
    assert {one["source_image_id"] for one in manifest["images"] if not one["synthetic"]} == trained
    assert pictures(archive) == sorted(
        ["pits/000000.png", "pits/000001.png", *(f"pits/real-{image_id}.png" for image_id in trained)]
    )
    assert (manifest["synthetic"], manifest["include_real"], manifest["left_out"]) == (False, True, {})


def test_what_has_moved_to_another_split_since_is_left_out_with_all_that_was_made_of_it(world: World) -> None:
    """Image 0 is now a test image; image 1 now shares its group with one."""
    dataset = uploaded(world, ("pits",), groups=("coil-0", "coil-1", "coil-2", "coil-2", None, None))
    generation = made(world, dataset, ["pits"], num_images=3)
    files = [("images", (f"pits/{number}.png", png(seed))) for number, seed in enumerate((0, 50, 51, 52))]
    answer = world.client.put(
        f"/v1/datasets/{dataset['id']}/classes/pits/images",
        files=files,
        data={"splits": ["test", "test", "train", "train"], "groups": ["", "coil-1", "", ""], "classes": ["pits"] * 4},
    )
    assert answer.status_code == 200, answer.text
    archive, manifest = opened(world, generation, include_real=True)
    assert [one["number"] for one in manifest["images"] if one["synthetic"]] == [2]
    assert [one["source_filename"] for one in manifest["images"] if not one["synthetic"]] == [
        "train-2.png",
        "train-3.png",
    ]
    assert manifest["left_out"] == {"source_held_out": 2, "held_out": 2}
    assert len(pictures(archive)) == 3


def test_of_a_spliced_image_both_sources_are_told_and_neither_may_be_held_out(world: World) -> None:
    dataset = uploaded(world, ("pits",))
    generation = made(world, dataset, ["pits"], num_images=2)
    real = [images_of(world, dataset)[f"pits/{name}.png"] for name in ("train-0", "train-1", "validation-4")]
    ids = [one["id"] for one in real]
    spliced = [synthetic(world, "pits", 2, ids[0], ids[1]), synthetic(world, "pits", 3, ids[1], ids[2])]
    with world.database.transaction() as session:
        job_id = JobId(generation["jobs"][0]["id"])
        generations.insert_images(session, DEFAULT_TENANT, GenerationId(generation["id"]), job_id, spliced)
    _, manifest = opened(world, generation)
    assert [one["number"] for one in manifest["images"]] == [0, 1, 2]
    told = manifest["images"][2]
    assert (told["source_filename"], told["second_source_filename"]) == ("train-0.png", "train-1.png")
    assert told["second_source_sha256"] == real[1]["sha256"]
    assert manifest["left_out"] == {"source_held_out": 1}


def test_coco_has_one_annotation_an_image_with_its_class_and_no_invented_box(world: World) -> None:
    archive, manifest = opened(
        world, made(world, uploaded(world, ("pits", "scale")), ["pits", "scale"]), format="coco", include_real=True
    )
    coco = json.loads(archive.read("annotations.json"))
    assert sorted(f"images/{one['file_name']}" for one in coco["images"]) == pictures(archive)
    assert len({one["id"] for one in coco["images"]}) == len(coco["images"]) == len(manifest["images"])
    classes = {one["id"]: one["name"] for one in coco["categories"]}
    files = {one["id"]: one for one in coco["images"]}
    for annotation in coco["annotations"]:
        assert files[annotation["image_id"]]["file_name"].startswith(f"{classes[annotation['category_id']]}/")
        assert "bbox" not in annotation
    assert {one["image_id"] for one in coco["annotations"]} == set(files)


def test_anomalib_finds_normal_images_apart_from_abnormal_ones(world: World) -> None:
    generation = made(world, uploaded(world, ("good", "pits")), ["pits"])
    archive, manifest = opened(world, generation, format="anomalib", normal_class="good")
    folders = [name.split("/")[:2] for name in pictures(archive)]
    assert folders == [["abnormal", "pits"]] * 2 + [["normal", "good"]] * 4
    assert manifest["classes"]["good"]["params"] is None
    archive, _ = opened(world, generation, format="anomalib")
    assert {name.split("/")[0] for name in pictures(archive)} == {"abnormal"}


def test_the_page_offers_the_class_without_a_defect_and_sends_it_where_it_counts(world: World) -> None:
    generation = made(world, uploaded(world, ("good", "pits")), ["pits"])
    page = world.client.get(f"/generations/{generation['id']}").text
    [offered] = re.findall(r'<select name="normal_class">(.*?)</select>', page)
    assert re.findall(r"<option[^>]*>([^<]+)", offered) == ["None", "good"]
    sent = {"format": "anomalib", "normal_class": "good"}
    path = f"/generations/{generation['id']}/archive"
    assert f'action="{path}"' in page
    asked = world.client.get(path, params=sent)
    assert asked.content == world.client.get(generation["links"]["archive"], params=sent).content
    assert {name.split("/")[0] for name in pictures(ZipFile(BytesIO(asked.content)))} == {"abnormal", "normal"}
    elsewhere = world.client.get(path, params={"format": "coco", "normal_class": "good"})
    assert elsewhere.content == world.client.get(generation["links"]["archive"], params={"format": "coco"}).content
    part = world.client.get(path, params=sent, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, asked.content[10:20])
    refused = world.client.get(path, params={"format": "anomalib", "normal_class": "nothing"})
    assert (refused.status_code, "<!doctype html>" in refused.text) == (422, True)


def test_huggingface_lines_name_their_files_and_no_folder_is_taken_for_a_split(world: World) -> None:
    archive, _ = opened(
        world, made(world, uploaded(world, ("test", "Test")), ["test", "Test"]), format="huggingface", include_real=True
    )
    lines = [json.loads(line) for line in archive.read("train/metadata.jsonl").decode().splitlines()]
    assert sorted(f"train/{line['file_name']}" for line in lines) == pictures(archive)
    assert {line["label"] for line in lines} == {"test", "Test"}
    assert {name.split("/")[1] for name in pictures(archive)} == {"000", "001"}, "not 'test'"
    assert lines[0]["synthetic"] is True, "its line has every column's type"
    assert None not in lines[0].values()
    assert lines[0]["seed"] == 2**62


def test_classes_that_differ_by_case_alone_do_not_overwrite_each_other(world: World) -> None:
    archive, manifest = opened(world, made(world, uploaded(world, ("Pits", "pits")), ["Pits", "pits"]))
    assert len({name.casefold() for name in pictures(archive)}) == 4
    assert {name: one["folder"] for name, one in manifest["classes"].items()} == {"Pits": "Pits", "pits": "pits-2"}


@pytest.mark.parametrize(
    ("params", "status", "code", "field"),
    [
        ({"format": "tfrecord"}, 422, "invalid_request", "format"),
        ({"normal_class": "good"}, 422, "invalid_request", "normal_class"),
        ({"normal_class": "good", "format": "anomalib"}, 422, "unknown_class", "normal_class"),
    ],
)
def test_a_wrong_wish_is_told_what_and_where(
    world: World, params: dict[str, str], status: int, code: str, field: str
) -> None:
    generation = made(world, uploaded(world, ("pits",)), ["pits"])
    answer = world.client.get(generation["links"]["archive"], params=params)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)


RESULT = GenerationResult(
    num_images=0, stage_seconds={}, denoising_steps=20, quality=None, contact_sheet=Sha256("0" * 64),
    warnings=["0 of 2 images: of 8 that were made (the budget), 8 were copies of real images. To get more, raise "
              "strength."],
)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "code", "told"),
    [
        (JobState.RUNNING, "generation_unfinished", "Wait until"),
        (JobState.FAILED, "generation_failed", "Each failed job says why"),
        (JobState.SUCCEEDED, "no_image_accepted", "To get more, raise strength"),
    ],
)
def test_a_generation_without_images_says_what_happened_and_what_to_do(
    world: World, state: JobState, code: str, told: str
) -> None:
    adaptation = world.adaptation({"pits": 4})
    world.finish(adaptation)
    body = {"adaptation_id": adaptation["id"], "num_images": 2}
    generation = world.client.post("/v1/generations", json=body).json()
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, generation["jobs"][0]["id"])
        row.state, row.result = state, RESULT.model_dump(mode="json") if state is JobState.SUCCEEDED else None
    answer = world.client.get(generation["links"]["archive"])
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert told in answer.json()["detail"] + answer.json()["remedy"]
    real = {"source": "dataset", "dataset_id": adaptation["dataset_id"], "class_name": "pits", "split": "train"}
    other = {"source": "generation", "generation_id": generation["id"], "class_name": "pits"}
    scored = world.client.post("/v1/evaluations", json={"real": real, "other": other}).json()
    assert scored["code"] == ("generation_unfinished" if state is JobState.RUNNING else "too_few_generated")


def test_without_its_adapter_nobody_knows_what_real_images_a_generation_learned_from(world: World) -> None:
    generation = made(world, uploaded(world, ("pits",)), ["pits"])
    adapter_id = generation["jobs"][0]["adapter_id"]
    world.client.post(generation["jobs"][0]["links"]["cancel"])
    assert world.client.delete(f"/v1/adapters/{adapter_id}").status_code == 204
    path = generation["links"]["archive"]
    answer = world.client.get(path, params={"include_real": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "lineage_unknown")
    assert world.client.get(path).status_code == 200
