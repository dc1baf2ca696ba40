"""Recognitions as a client sees them: what is accepted, what is refused and why, and what is answered."""

from typing import Any

import pytest

from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobFailure, JobKind, JobState
from service.contracts.quality import Estimate, Interval
from service.contracts.recognitions import Arm, ArmResult, Lift, RatioTried, RecognitionResult, Verdict
from service.settings import Settings
from service.store import jobs
from tests.contract.conftest import World
from tests.contract.test_work import publish
from tests.fakes.pictures import png, zipped

ENOUGH = {"train": 4, "validation": 2, "test": 2}


def pictures(class_index: int, counts: dict[str, int]) -> dict[str, list[bytes]]:
    """Distinct pictures for each split."""
    seeds = iter(range(1000 * class_index, 1000 * (class_index + 1)))
    return {split: [png(next(seeds)) for _ in range(number)] for split, number in counts.items()}


def dataset(world: World, classes: dict[str, dict[str, list[bytes]]]) -> dict[str, Any]:
    members = {
        f"{split}/{name}/{split}-{number}.png": data
        for name, splits in classes.items()
        for split, files in splits.items()
        for number, data in enumerate(files)
    }
    answer = world.client.post("/v1/datasets", files={"archive": ("set.zip", zipped(members))})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def generated(world: World, dataset_id: str, *, published: bool = True, **asked: Any) -> dict[str, Any]:
    """A generation of all classes of the dataset (or of those in ``num_images``), finished unless told otherwise."""
    adaptation = world.client.post("/v1/adaptations", json={"dataset_id": dataset_id}).json()
    world.finish(adaptation)
    body = {"adaptation_id": adaptation["id"], "num_images": 3, **asked}
    generation: dict[str, Any] = world.client.post("/v1/generations", json=body).json()
    if published:
        publish(world, generation, "img_gone")
    return generation


def three_classes(world: World) -> dict[str, Any]:
    return dataset(world, {name: pictures(index, ENOUGH) for index, name in enumerate(("pits", "rust", "scale"))})


def asked(world: World, **changes: Any) -> Any:
    """The answer to a request about a finished generation of three classes, with changes."""
    images = three_classes(world)
    generation = generated(world, images["id"])
    return world.client.post(
        "/v1/recognitions", json={"dataset_id": images["id"], "generation_id": generation["id"], **changes}
    )


def found() -> RecognitionResult:
    """What a worker might find."""
    interval = Interval(low=0.01, high=0.07)
    estimate = Estimate(value=0.9, interval=interval)
    arms = [
        ArmResult(
            arm=arm, ratio=1.0 if arm is Arm.REAL_PLUS_SYNTHETIC else None, num_real=8, num_synthetic=8,
            accuracy=estimate, macro_f1=estimate, recall={"pits": 1.0, "rust": 0.8}, confusion=[[5, 0], [1, 4]],
            runs_accuracy=[0.9, 0.9],
        )
        for arm in Arm
    ]  # fmt: skip
    return RecognitionResult(
        classes=["pits", "rust"],
        classifier="small_resnet",
        verdict=Verdict.GAIN_SHOWN,
        sentence="Synthetic images helped.",
        chosen_ratio=1.0,
        selection=[RatioTried(ratio=1.0, num_synthetic=8, validation_accuracy=0.8)],
        arms=arms,
        lifts=[Lift(arm=Arm.REAL_PLUS_SYNTHETIC, over=Arm.REAL_AUGMENTED, metric="accuracy", value=0.04,
                    interval=interval)],
        num_images={},
        num_synthetic_images={"pits": 4, "rust": 4},
        telling_images=[],
        stage_seconds={},
    )  # fmt: skip


def test_a_recognition_is_one_queued_job_whose_version_and_classes_are_fixed(world: World) -> None:
    answer = asked(world, settings={"ratios": [1, 4], "num_seeds": 3})
    recognition = answer.json()
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == recognition["links"]["self"] == f"/v1/recognitions/{recognition['id']}"
    assert "Retry-After" in answer.headers
    assert recognition["request"]["dataset_version_id"].startswith("dsv_")
    assert recognition["request"]["settings"]["classifier"] == "small_resnet"
    (job,) = recognition["jobs"]
    assert (job["kind"], job["class_name"], recognition["state"]) == ("recognition", "pits, rust, scale", "queued")
    assert world.sender.sent[-1] == (JobKind.RECOGNITION, job["id"])
    assert world.client.get(job["links"]["resource"]).json()["id"] == recognition["id"]
    listed = world.client.get("/v1/recognitions").json()["items"]
    assert [one["id"] for one in listed] == [recognition["id"]]
    assert world.client.get("/v1/recognitions/rec_0").status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"dataset_id": "ds_0"}, 404, "not_found", "dataset_id"),
        ({"dataset_version_id": "dsv_0"}, 404, "not_found", "dataset_version_id"),
        ({"generation_id": "gen_0"}, 404, "not_found", "generation_id"),
        ({"classes": ["pits", "cracks"]}, 422, "unknown_class", "classes"),
        ({"classes": ["pits"]}, 422, "invalid_request", "classes"),
        ({"classes": ["pits", "pits"]}, 422, "too_few_classes", "classes"),
        ({"settings": {"classifier": "resnet50"}}, 422, "unknown_classifier", "settings.classifier"),
        ({"settings": {"ratios": []}}, 422, "invalid_request", "settings.ratios"),
        ({"settings": {"ratios": [1, 1.0]}}, 422, "invalid_request", "settings"),
        ({"settings": {"num_seeds": 1}}, 422, "invalid_request", "settings.num_seeds"),
    ],
)
def test_a_wrong_recognition_is_told_what_and_where(
    world: World, changes: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = asked(world, **changes)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)
    assert problem["remedy"]
    assert world.client.get("/v1/recognitions").json()["items"] == []


def test_classes_without_synthetic_images_are_left_out_of_all_and_refused_by_name(world: World) -> None:
    images = three_classes(world)
    generation = generated(world, images["id"], num_images={"pits": 3, "rust": 3})
    body = {"dataset_id": images["id"], "generation_id": generation["id"]}
    (job,) = world.client.post("/v1/recognitions", json=body).json()["jobs"]
    with world.database.reading() as session:
        params = jobs.get(session, DEFAULT_TENANT, job["id"]).params
    assert params["classes"] == ["pits", "rust"]
    assert params["notes"] == ["Left out: the generation has no class 'scale'."]
    named = world.client.post("/v1/recognitions", json={**body, "classes": ["pits", "scale"]})
    assert (named.status_code, named.json()["code"], named.json()["field"]) == (422, "no_synthetic_images", "classes")


def test_an_unfinished_generation_is_waited_for_unless_finished_classes_are_named(world: World) -> None:
    images = three_classes(world)
    generation = generated(world, images["id"], published=False)
    publish(world, {**generation, "classes": generation["classes"][:2], "jobs": generation["jobs"][:2]}, "img_gone")
    body = {"dataset_id": images["id"], "generation_id": generation["id"]}
    answer = world.client.post("/v1/recognitions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "generation_unfinished")
    assert "'scale'" in answer.json()["detail"]
    assert world.client.post("/v1/recognitions", json={**body, "classes": ["pits", "rust"]}).status_code == 202


def test_every_class_needs_test_images_but_can_do_without_validation_images(world: World) -> None:
    rust, scale = ({"train": 4, split: 2} for split in ("validation", "test"))
    images = dataset(
        world, {"pits": pictures(0, ENOUGH), "rust": pictures(1, rust), "scale": pictures(2, scale)}
    )  # fmt: skip
    generation = generated(world, images["id"])
    body = {"dataset_id": images["id"], "generation_id": generation["id"]}
    answer = world.client.post("/v1/recognitions", json=body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "too_few_images", "classes")
    assert "1 test images a class are needed: 'rust' has 0" in answer.json()["detail"]
    assert world.client.post("/v1/recognitions", json={**body, "classes": ["pits", "scale"]}).status_code == 202


def test_a_test_image_that_the_adapter_was_trained_on_is_refused_whatever_version_says(world: World) -> None:
    pits, rust = pictures(0, ENOUGH), pictures(1, ENOUGH)
    images = dataset(world, {"pits": pits, "rust": rust})
    generation = generated(world, images["id"])
    swapped = [*rust["train"][2:], *rust["test"], *rust["validation"], *rust["train"][:2]]
    splits = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    answer = world.client.put(
        f"/v1/datasets/{images['id']}/classes/rust/images",
        files=[("images", (f"{number}.png", data)) for number, data in enumerate(swapped)],
        data={"splits": splits},
    )
    assert answer.status_code == 200, answer.text
    body = {"dataset_id": images["id"], "generation_id": generation["id"]}
    refused = world.client.post("/v1/recognitions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "test_images_seen")
    assert "2 test images" in refused.json()["detail"]
    first_version = {**body, "dataset_version_id": images["version"]["id"]}
    assert world.client.post("/v1/recognitions", json=first_version).status_code == 202


def test_a_picture_that_two_classes_share_across_splits_is_refused_until_one_is_left_out(world: World) -> None:
    pits, rust, scale = (pictures(index, ENOUGH) for index in range(3))
    rust["test"][0] = pits["train"][0]
    images = dataset(world, {"pits": pits, "rust": rust, "scale": scale})
    generation = generated(world, images["id"])
    body = {"dataset_id": images["id"], "generation_id": generation["id"]}
    answer = world.client.post("/v1/recognitions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "test_images_seen")
    assert world.client.post("/v1/recognitions", json={**body, "classes": ["rust", "scale"]}).status_code == 202


def test_images_of_another_dataset_or_of_a_deleted_adapter_are_refused(world: World) -> None:
    ours, others = (
        dataset(world, {name: pictures(offset + index, ENOUGH) for index, name in enumerate(("pits", "rust"))})
        for offset in (0, 5)
    )
    generation = generated(world, others["id"])
    body = {"dataset_id": ours["id"], "generation_id": generation["id"]}
    answer = world.client.post("/v1/recognitions", json=body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        422,
        "other_dataset",
        "generation_id",
    )
    assert world.client.delete(f"/v1/adapters/{generation['classes'][0]['adapter_id']}").status_code == 204
    answer = world.client.post("/v1/recognitions", json={**body, "dataset_id": others["id"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "lineage_unknown")


def test_the_report_is_there_when_the_job_has_succeeded_and_says_why_when_it_failed(world: World) -> None:
    recognition = asked(world).json()
    report = recognition["links"]["report"]
    assert world.client.get(report).json() | {"request": None} == {
        "recognition_id": recognition["id"], "state": "queued", "request": None, "result": None, "failure": None,
        "rejected": {},
    }  # fmt: skip
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, recognition["jobs"][0]["id"])
        row.state, row.result = JobState.SUCCEEDED, found().model_dump(mode="json")
    answer = world.client.get(report).json()
    assert (answer["state"], answer["result"]["verdict"]) == ("succeeded", "gain_shown")
    assert RecognitionResult.model_validate(answer["result"]) == found()
    assert world.client.get(recognition["links"]["self"]).json()["jobs"][0]["result"] == answer["result"]
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, recognition["jobs"][0]["id"])
        failure = JobFailure(code="dataset_unusable", message="m", remedy="r")
        row.state, row.result, row.failure = JobState.FAILED, None, failure.model_dump(mode="json")
    assert world.client.get(report).json()["failure"]["code"] == "dataset_unusable"


def test_a_dataset_stays_while_a_recognition_of_it_is_unfinished(world: World) -> None:
    recognition = asked(world).json()
    dataset_path = recognition["links"]["dataset"]
    generation = world.client.get(recognition["links"]["generation"]).json()
    for one in generation["classes"]:
        assert world.client.delete(f"/v1/adapters/{one['adapter_id']}").status_code == 204
    answer = world.client.delete(dataset_path)
    assert (answer.status_code, answer.json()["code"]) == (409, "still_cited")
    world.client.post(recognition["jobs"][0]["links"]["cancel"])
    assert world.client.delete(dataset_path).status_code == 204
    assert world.client.get(recognition["links"]["self"]).json()["state"] == "canceled"


def test_a_recognition_waits_behind_a_full_queue(world: World, settings: Settings) -> None:
    images = three_classes(world)
    generation = generated(world, images["id"])
    body = {"dataset_id": images["id"], "generation_id": generation["id"]}
    codes = [world.client.post("/v1/recognitions", json=body).status_code for _ in range(settings.max_queued_jobs + 1)]
    assert (codes[0], codes[-1]) == (202, 429)
