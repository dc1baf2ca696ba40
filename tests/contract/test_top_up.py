"""Top-up: from what a classifier gets wrong to a request that can be sent as it is."""

from typing import Any

from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobState
from service.contracts.recognitions import RatioTried, RecognitionResult, Verdict
from service.store import jobs
from tests.contract.conftest import World
from tests.contract.test_recognitions import found, generated, three_classes

PATH = "/v1/generations/top-up"
CLASSES = ["pits", "rust", "scale"]


def source(world: World, num_images: int = 3, **asked: Any) -> dict[str, Any]:
    """A finished generation of three classes, with so many images asked for and three of each there."""
    return generated(world, three_classes(world)["id"], num_images=num_images, **asked)


def proposed(world: World, **body: Any) -> dict[str, Any]:
    answer = world.client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def adaptation_of(world: World) -> str:
    listed = world.client.get("/v1/adaptations").json()["items"]
    return str(listed[0]["id"])


def test_only_the_weak_class_is_proposed_and_the_proposal_can_be_sent_as_it_is(world: World) -> None:
    source(world)
    told = proposed(
        world,
        adaptation_id=adaptation_of(world),
        classes=[*CLASSES, "ok"],
        confusion_matrix=[[19, 1, 0, 0], [5, 10, 0, 5], [0, 0, 0, 0], [0, 0, 0, 50]],
        other_classes=["ok"],
    )
    num_train = world.client.get("/v1/datasets").json()["items"][0]["id"]
    counts = world.client.get(f"/v1/datasets/{num_train}").json()["classes"]["rust"]["train"]
    by_class = {one["class_name"]: one for one in told["classes"]}
    assert list(by_class) == CLASSES
    assert [by_class[name]["is_weak"] for name in CLASSES] == [False, True, False]
    rust = by_class["rust"]
    assert (rust["recall"], rust["num_judged"]) == (0.5, 20)
    assert (rust["interval"]["low"], rust["interval"]["high"]) == (0.2993, 0.7007)  # Wilson's, of 10 in 20
    assert rust["num_images"] == -(-counts * 13 // 9)  # one for one, and (0.9 - 0.5) / 0.9 = 4/9 more, rounded up
    assert "No image of it was judged" in by_class["scale"]["reason"]
    assert told["request"]["num_images"] == {"rust": rust["num_images"]}
    assert "settings" not in told["request"], "what the search found must stay the default"
    accepted = world.client.post("/v1/generations", json=told["request"])
    assert accepted.status_code == 202, accepted.text
    assert [one["class_name"] for one in accepted.json()["classes"]] == ["rust"]


def test_images_that_are_there_are_taken_off_and_the_new_ones_are_made_as_the_old_ones_were(world: World) -> None:
    generation = source(world, settings={"mode": "from_noise"}, gates={"outliers": False})
    without = proposed(world, adaptation_id=adaptation_of(world), recall_by_class={"rust": 0.45})
    told = proposed(world, generation_id=generation["id"], recall_by_class={"rust": 0.45})
    there = next(one for one in generation_classes(world, generation["id"]) if one["class_name"] == "rust")
    assert without["classes"][0]["num_images"] - told["classes"][0]["num_images"] == there["num_published"] > 0
    assert told["request"]["settings"] == {"mode": "from_noise"}
    assert told["request"]["gates"]["outliers"] is False
    assert world.client.post("/v1/generations", json=told["request"]).status_code == 202


def test_a_setting_that_was_given_is_proposed_again_even_where_it_equals_the_default(world: World) -> None:
    usual = next(one for one in world.client.get("/v1/base-models").json()["items"] if one["name"] == "mini")
    strength = usual["generation"]["strength"]
    generation = source(world, settings={"strength": strength})
    told = proposed(world, generation_id=generation["id"], recall_by_class={"rust": 0.45})
    assert told["request"]["settings"] == {"strength": strength}, "or what a search found would stand above it"


def generation_classes(world: World, generation_id: str) -> list[dict[str, Any]]:
    classes: list[dict[str, Any]] = world.client.get(f"/v1/generations/{generation_id}").json()["classes"]
    return classes


def test_a_recognition_gives_recalls_and_the_ratio_it_chose(world: World) -> None:
    images = three_classes(world)
    generation = generated(world, images["id"])
    asked = {"dataset_id": images["id"], "generation_id": generation["id"], "classes": ["pits", "rust"]}
    recognition = world.client.post("/v1/recognitions", json=asked).json()
    unfinished = world.client.post(PATH, json={"recognition_id": recognition["id"]})
    assert (unfinished.status_code, unfinished.json()["code"]) == (409, "recognition_unfinished")
    succeeded(world, recognition["jobs"][0]["id"], tried(1.0, 4.0))
    told = proposed(world, recognition_id=recognition["id"])
    assert (told["ratio"], told["ratio_source"]) == (4.0, "recognition")
    assert {one["class_name"]: one["recall"] for one in told["classes"]} == {"pits": 1.0, "rust": 0.8}
    assert list(told["request"]["num_images"]) == ["rust"]
    by_hand = proposed(world, generation_id=generation["id"], recall_by_class={"pits": 1, "rust": 0.8})
    assert by_hand["request"]["num_images"] == told["request"]["num_images"]


def tried(*ratios: float) -> RecognitionResult:
    """A result that chose the last of these."""
    selection = [RatioTried(ratio=ratio, num_synthetic=8, validation_accuracy=0.8) for ratio in ratios]
    return found().model_copy(update={"chosen_ratio": ratios[-1], "selection": selection})


def succeeded(world: World, job_id: str, result: RecognitionResult) -> None:
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, job_id)
        row.state, row.result = JobState.SUCCEEDED, result.model_dump(mode="json")


def test_a_recognition_that_had_but_one_ratio_to_try_chose_none(world: World) -> None:
    images = three_classes(world)
    generation = generated(world, images["id"])
    asked = {"dataset_id": images["id"], "generation_id": generation["id"], "classes": ["pits", "rust"]}
    recognition = world.client.post("/v1/recognitions", json=asked).json()
    succeeded(world, recognition["jobs"][0]["id"], tried(0.5))
    told = proposed(world, recognition_id=recognition["id"])
    assert (told["ratio"], told["ratio_source"]) == (1.0, "usual")


def test_of_an_inconclusive_recognition_nothing_is_proposed_and_its_ratio_is_not_taken(world: World) -> None:
    images = three_classes(world)
    generation = generated(world, images["id"])
    asked = {"dataset_id": images["id"], "generation_id": generation["id"], "classes": ["pits", "rust"]}
    recognition = world.client.post("/v1/recognitions", json=asked).json()
    why = "Nothing can be concluded: no classifier learned to tell the classes apart."
    doubtful = {"is_inconclusive": True, "verdict": Verdict.NO_GAIN_SHOWN, "sentence": why}
    succeeded(world, recognition["jobs"][0]["id"], tried(1.0, 4.0).model_copy(update=doubtful))
    told = proposed(world, recognition_id=recognition["id"])
    assert (told["request"], told["classes"]) == (None, [])
    assert told["sentence"] == f"Nothing is proposed, because the recognition is inconclusive. {why}"
    by_hand = proposed(world, generation_id=generation["id"], recall_by_class={"pits": 1, "rust": 0.8})
    assert (by_hand["ratio"], by_hand["ratio_source"]) == (1.0, "usual")
    page = world.client.get(f"/recognitions/{recognition['id']}").text
    assert "Nothing can be concluded</p>" in page and why in page
    assert "More images of the weak classes" not in page and "No gain shown" not in page
    listed = world.client.get("/recognitions").text
    assert "Nothing can be concluded" in listed and "No gain shown" not in listed


def test_where_no_class_is_weak_nothing_is_proposed_in_words(world: World) -> None:
    source(world)
    told = proposed(world, adaptation_id=adaptation_of(world), recall_by_class=dict.fromkeys(CLASSES, 0.95))
    assert told["request"] is None
    assert told["sentence"] == "No class is below a recall of 90 %: nothing is proposed."
    assert proposed(world, adaptation_id=adaptation_of(world), recall_by_class={"pits": 0.95}, target_recall=0.99)[
        "request"
    ]


def test_a_matrix_that_is_none_or_of_other_classes_is_refused_with_its_field(world: World) -> None:
    source(world)
    adaptation_id = adaptation_of(world)
    square = [[1, 0], [0, 1]]
    refused: dict[str, dict[str, Any]] = {
        "adaptation_id": {"recall_by_class": {"pits": 0.5}},
        "confusion_matrix": {"adaptation_id": adaptation_id},
        "confusion_matrix.1": {
            "adaptation_id": adaptation_id, "classes": ["pits", "rust"], "confusion_matrix": [[1, 0], [1]],
        },
        "classes": {"adaptation_id": adaptation_id, "classes": ["pits", "pist"], "confusion_matrix": square},
        "confusion_matrix.0.1": {
            "adaptation_id": adaptation_id, "classes": ["pits", "rust"], "confusion_matrix": [[1, -1], [0, 1]],
        },
        "recall_by_class": {"adaptation_id": adaptation_id, "recall_by_class": {"pist": 0.5}},
        "recall_by_class.pits": {"adaptation_id": adaptation_id, "recall_by_class": {"pits": 1.5}},
    }  # fmt: skip
    for field, body in refused.items():
        answer = world.client.post(PATH, json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert world.client.post(PATH, json={"generation_id": "gen_none", "recall_by_class": {"a": 0}}).status_code == 404
