"""What lists, the queue and a data set's page ask of the database: as much for many rows as for few."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import JSON, event
from sqlalchemy.engine import Engine

from service.contracts.adaptations import AdaptationResult
from service.contracts.ids import DEFAULT_TENANT, AdapterId
from service.contracts.jobs import JobState
from service.settings import Settings
from service.store import jobs
from tests.contract.conftest import World, opened
from tests.contract.test_recognitions import found, generated, three_classes

PAGES = ("/", "/under-way", "/recent", "/queue", "/queue/live", "/datasets", "/adaptations", "/generations",
         "/generations/lines", "/recognitions", "/evaluations", "/v1/jobs?limit=200")  # fmt: skip


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    with opened(settings.model_copy(update={"max_queued_jobs": 100})) as world, world.client:
        yield world


@contextmanager
def counted() -> Iterator[list[str]]:
    """Statements, of whatever engine, for as long as it lasts."""
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def num_statements(world: World, path: str) -> int:
    world.client.get(path)  # what is remembered for a while is asked for first
    with counted() as statements:
        assert world.client.get(path).status_code == 200
    return len(statements)


def one_of_each(world: World) -> str:
    """A data set with finished work and work that waits; its id."""
    dataset = three_classes(world)
    generation = generated(world, dataset["id"])
    asked = {"dataset_id": dataset["id"], "generation_id": generation["id"]}
    of_class = {"dataset_id": dataset["id"], "class_name": "pits", "split": "train"}
    other = {"source": "generation", "generation_id": generation["id"], "class_name": "pits"}
    requests = {"/v1/recognitions": asked, "/v1/evaluations": {"real": of_class, "other": other}}
    for path, body in requests.items():
        for _ in range(2):
            answer = world.client.post(path, json=body)
            assert answer.status_code == 202, answer.text
    return str(dataset["id"])


def test_a_list_asks_no_more_for_many_rows_than_for_two(world: World) -> None:
    dataset_id = one_of_each(world)
    one_of_each(world)
    paths = (*PAGES, f"/datasets/{dataset_id}")
    few = {path: num_statements(world, path) for path in paths}
    for _ in range(3):
        one_of_each(world)
        body = {"dataset_id": dataset_id, "classes": ["pits"]}
        assert world.client.post("/v1/adaptations", json=body).status_code == 202
    assert {path: num_statements(world, path) for path in paths} == few
    assert max(few.values()) < 30


def test_lists_read_no_results_and_tell_what_the_views_tell(world: World) -> None:
    one_of_each(world)
    for kind in ("recognitions", "generations"):
        listed = world.client.get(f"/v1/{kind}").json()["items"]
        with world.database.transaction() as session:
            row = jobs.get(session, DEFAULT_TENANT, listed[0]["jobs"][0]["id"])
            # A result that could not be parsed: a list needs one word of it at most.
            row.state, row.result = JobState.SUCCEEDED, {"verdict": found().verdict.value}
    evaluation = world.client.get("/v1/evaluations").json()["items"][0]
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, evaluation["jobs"][0]["id"])
        row.state, row.result = JobState.SUCCEEDED, {"quality": {"score": {"kid": 0.01234}}}
    for path in ("/", "/queue", "/generations", "/recognitions", "/evaluations"):
        assert world.client.get(path).status_code == 200, path
    told = world.client.get("/recognitions").text
    assert "Gain shown" in told and "No verdict yet" in told
    assert "synthetic images against train images: KID 0.0123" in world.client.get("/evaluations").text
    assert "9 images" in world.client.get("/generations").text
    assert "24 images in 3 classes" in world.client.get("/datasets").text


def test_the_queue_shows_what_is_next_and_what_ended_last(world: World) -> None:
    dataset = world.dataset({"pits": 4})
    for number in range(20):
        body = {"dataset_id": dataset["id"], "priority": 3 if number == 19 else 0}
        assert world.client.post("/v1/adaptations", json=body).status_code == 202
    page = world.client.get("/v1/jobs?limit=200").json()["items"]
    in_order = sorted(page, key=lambda job: job["queue_position"])
    assert in_order[0] == page[0]  # the newest, because of its priority
    now = datetime.now(UTC)
    with world.database.transaction() as session:
        for place, job in enumerate(in_order[1:15]):  # the oldest ended last
            row = jobs.get(session, DEFAULT_TENANT, job["id"])
            row.state, row.finished_at = JobState.CANCELED, now - timedelta(minutes=place)
    ended = world.client.get("/queue").text.partition("Ended lately")[2]
    shown = [job["resource_id"] for job in in_order if job["resource_id"] in ended]
    assert shown == [job["resource_id"] for job in in_order[1:13]]
    assert ended.index(in_order[1]["resource_id"]) < ended.index(in_order[12]["resource_id"])


def test_a_poll_is_one_statement_wherever_the_job_is(world: World) -> None:
    queued, running, ended = world.adaptation({"pits": 4, "scratches": 4, "stains": 4})["jobs"]
    result = AdaptationResult(adapter_id=AdapterId("adp_1"), num_train_images=4, stage_seconds={}, loss_curve=[])
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, running["id"])
        row.state, row.progress = JobState.RUNNING, {"stage": "lora", "step": 3, "total": 6, "fraction": 0.5}
        row = jobs.get(session, DEFAULT_TENANT, ended["id"])
        row.state, row.failure, row.result = JobState.SUCCEEDED, JSON.NULL, result.model_dump(mode="json")
    told = {}
    for job_id in (queued["id"], running["id"], ended["id"]):
        with counted() as statements:
            told[job_id] = world.client.get(f"/v1/jobs/{job_id}").json()
        asked = [one for one in statements if not one.startswith("BEGIN")]
        assert len(asked) == 1, asked
    # And it tells what the lists tell, whose rows are read whole.
    assert told == {job["id"]: job for job in world.client.get("/v1/jobs").json()["items"]}
    assert [told[job["id"]]["queue_position"] for job in (queued, running, ended)] == [1, None, None]


def test_a_poll_by_who_has_the_job_reads_no_result(world: World) -> None:
    job_id = world.adaptation({"pits": 4})["jobs"][0]["id"]
    with world.database.transaction() as session:
        row = jobs.get(session, DEFAULT_TENANT, job_id)
        row.state, row.result = JobState.SUCCEEDED, {"of": "an unknown kind"}
    answer = world.client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": '"0-0"'})
    assert (answer.status_code, answer.content) == (304, b"")
    assert world.client.get(f"/v1/jobs/{job_id}").status_code == 500  # what reading it would have been
