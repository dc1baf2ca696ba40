import csv
import io
from typing import Any

import pytest

from service.contracts.generations import GenerationResult
from service.contracts.ids import DEFAULT_TENANT, GenerationId, ImageId, JobId, Sha256
from service.contracts.jobs import JobState, Progress
from service.contracts.search import SearchSoFar
from service.reports.wording import figure
from service.store import generations, jobs
from tests.contract.conftest import World
from tests.contract.test_recognitions import asked
from tests.contract.test_work import generated
from tests.fakes import measured
from tests.fakes.pictures import png
from tests.fakes.reading import Read, check_self_contained


def page_at(world: World, path: str) -> Read:
    answer = world.client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return check_self_contained(answer.text)


def finish(world: World, job_id: str, result: Any) -> None:
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, job_id)
        row.state, row.result = JobState.SUCCEEDED, result.model_dump(mode="json")


def published(world: World, generation: dict[str, Any]) -> GenerationResult:
    """Finish the generation's class "pits" as a worker would, two images, and give back its result."""
    real = world.client.get(world.client.get("/v1/datasets").json()["items"][0]["links"]["self"]).json()
    images = world.client.get(real["links"]["images"]).json()["items"]
    nearest = next(image["id"] for image in images if image["class_name"] == "pits")
    digests = [world.artifacts.put_bytes(png(900 + number)).sha256 for number in range(2)]
    made = [
        measured.generated(number, digest, nearest).model_copy(update={"source_image_id": ImageId(nearest)})
        for number, digest in enumerate(digests)
    ]
    result = measured.generation_result(Sha256(digests[0]), closest=[image.model_dump() for image in made])
    job_id = next(job["id"] for job in generation["jobs"] if job["class_name"] == "pits")
    with world.database.transaction() as session:
        generations.insert_images(session, DEFAULT_TENANT, GenerationId(generation["id"]), JobId(job_id), made)
    finish(world, job_id, result)
    return result


def test_a_generation_s_page_says_what_is_unfinished_and_grows_with_its_classes(world: World) -> None:
    generation = generated(world)
    page = page_at(world, generation["links"]["report_html"])
    assert "unfinished" in page.words
    assert page.pictures == []
    published(world, generation)
    page = page_at(world, generation["links"]["report_html"])
    assert "Yes." in page.words
    assert "waiting for a worker" in page.words, "the other class"
    assert len(page.pictures) == 5, "the sheet, and two pairs"


def test_page_json_and_table_say_the_same(world: World) -> None:
    generation = generated(world)
    result = published(world, generation)
    page = page_at(world, generation["links"]["report_html"])
    report = world.client.get(generation["links"]["report"]).json()
    answer = report["answers"]["pits"]
    assert (answer["as_close"], set(report["answers"])) == ("yes", {"pits"})
    for said in (answer["reason"], answer["copies"]):
        assert said in page.words
    assert result.quality is not None
    for score in (result.quality.score, result.quality.matched, result.quality.real_floor):
        assert figure(score.kid) in page.words
    assert report["results"]["pits"]["quality"]["score"]["kid"] == result.quality.score.kid
    rows = list(csv.DictReader(io.StringIO(world.client.get(generation["links"]["report_csv"]).text)))
    nearest = [one["nearest_feature_ratio"] for one in report["results"]["pits"]["closest"]]
    assert [float(row["nearest_feature_ratio"]) for row in rows] == nearest
    assert all(f"{figure(ratio)} ×" in page.words for ratio in nearest)


def test_the_request_that_remakes_a_class_makes_the_same_job_again(world: World) -> None:
    generation = generated(world)
    published(world, generation)
    body = world.client.get(generation["links"]["report"]).json()["answers"]["pits"]["remake"]
    again = world.client.post("/v1/generations", json=body)
    assert again.status_code == 202, again.text
    with world.database.reading() as session:
        first, second = (
            jobs.get(session, DEFAULT_TENANT, one["jobs"][0]["id"]).params for one in (generation, again.json())
        )
    assert set(second.pop("origins").values()) == {"client"}, "it names everything"
    assert {**first, "generation_id": None, "origins": None} == {**second, "generation_id": None, "origins": None}


def test_a_page_that_has_not_changed_is_not_sent_again(world: World) -> None:
    path = generated(world)["links"]["report_html"]
    first = world.client.get(path)
    again = world.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert world.client.get(path).content == first.content


def test_a_generation_s_table_is_a_row_an_image(world: World) -> None:
    generation = generated(world)
    published(world, generation)
    answer = world.client.get(generation["links"]["report_csv"])
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert [row["file"] for row in rows] == ["pits/000000.png", "pits/000001.png"]
    assert rows[0]["nearest_filename"].endswith(".png")
    assert rows[0]["base_model"] == "mini"


def test_an_adaptation_s_page_shows_the_trials_while_they_are_made_and_after(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    path, job_id = adaptation["links"]["report_html"], adaptation["jobs"][0]["id"]
    assert "waiting for a worker" in page_at(world, path).words
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, job_id)
        progress = Progress(stage="search", step=2, total=12, fraction=0.7)
        row.state, row.progress = JobState.RUNNING, progress.model_dump(mode="json")
        row.interim = SearchSoFar(trials=measured.TRIALS[:2]).model_dump(mode="json")
    assert "2 trials so far" in page_at(world, path).words
    finish(world, job_id, measured.adaptation_result())
    assert "Trial 1 was chosen." in page_at(world, path).words


def test_a_recognition_has_a_page_and_a_table_before_and_after_its_result(world: World) -> None:
    recognition = asked(world).json()
    page, table = recognition["links"]["report_html"], recognition["links"]["report_csv"]
    assert "no verdict yet" in page_at(world, page).words
    assert len(world.client.get(table).text.splitlines()) == 1
    finish(world, recognition["jobs"][0]["id"], measured.recognition_result())
    assert "Gain shown" in page_at(world, page).words
    assert "picture not available" in page_at(world, page).words, "the test image is not of this dataset"
    assert len(world.client.get(table).text.splitlines()) > 30


@pytest.mark.parametrize(
    "path",
    [
        "generations/gen_0/report.html",
        "generations/gen_0/report.csv",
        "adaptations/adn_0/report.html",
        "recognitions/rec_0/report.html",
        "recognitions/rec_0/report.csv",
    ],
)
def test_an_unknown_resource_has_no_report(world: World, path: str) -> None:
    answer = world.client.get(f"/v1/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
