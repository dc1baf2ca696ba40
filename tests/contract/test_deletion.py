"""What is deleted says so: 410 with when and why, and only to whom it belonged."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.contracts.ids import DEFAULT_TENANT, TenantId
from service.contracts.jobs import JobState
from service.store import generations, jobs, tombstones
from service.store.tables import GenerationRow
from service.store.tombstones import Deletion
from tests.contract.conftest import World

REAL = {"source": "dataset", "class_name": "pits", "split": "train"}


def end(world: World, work: dict[str, Any], state: JobState = JobState.SUCCEEDED) -> None:
    """As if a worker had ended every job of it."""
    with world.database.transaction() as session:
        for job in work["jobs"]:
            row = jobs.get(session, DEFAULT_TENANT, job["id"])
            row.state, row.finished_at = state, datetime.now(UTC)


def posted(world: World, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = world.client.post(path, json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def gone(world: World, path: str) -> bool:
    answer = world.client.get(path)
    told = answer.json()
    return (answer.status_code, told["code"]) == (410, "gone") and "by a client" in told["detail"]


def test_an_evaluation_and_its_job_go_once_the_job_is_final(world: World) -> None:
    dataset = world.dataset({"pits": 4})
    real = {**REAL, "dataset_id": dataset["id"]}
    evaluation = posted(world, "/v1/evaluations", {"real": real, "other": real})
    path = f"/v1/evaluations/{evaluation['id']}"
    refused = world.client.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "still_cited")
    end(world, evaluation)
    assert world.client.delete(path).status_code == 204
    assert gone(world, path) and gone(world, f"/v1/jobs/{evaluation['jobs'][0]['id']}")
    assert world.client.delete(path).status_code == 410


def test_an_adaptation_goes_after_its_adapters(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    path = f"/v1/adaptations/{adaptation['id']}"
    assert world.client.delete(path).status_code == 409
    (adapter_id,) = world.finish(adaptation)
    assert "adapters" in world.client.delete(path).json()["detail"]
    assert world.client.delete(f"/v1/adapters/{adapter_id}").status_code == 204
    assert world.client.delete(path).status_code == 204
    assert gone(world, path) and gone(world, f"/v1/adapters/{adapter_id}/archive")


def test_a_generation_goes_with_its_images_unless_unfinished_work_reads_them(world: World) -> None:
    adaptation = world.adaptation({"pits": 4})
    world.finish(adaptation)
    generation = posted(world, "/v1/generations", {"adaptation_id": adaptation["id"], "num_images": 2})
    path = f"/v1/generations/{generation['id']}"
    assert world.client.delete(path).status_code == 409
    end(world, generation)
    world.publish(generation["id"], generation["jobs"][0]["id"], "pits", 2)
    real = {**REAL, "dataset_id": adaptation["dataset_id"]}
    other = {"source": "generation", "generation_id": generation["id"], "class_name": "pits"}
    evaluation = posted(world, "/v1/evaluations", {"real": real, "other": other})
    assert world.client.delete(path).status_code == 409
    end(world, evaluation)
    assert world.client.delete(path).status_code == 204
    for below in ("", "/images", "/images/pits/0", "/report", "/archive", "/classes/pits/contact-sheet"):
        assert gone(world, path + below), below
    assert world.client.get(f"/v1/evaluations/{evaluation['id']}").status_code == 200
    with world.database.reading() as session:
        assert generations.counts(session, DEFAULT_TENANT, generation["id"]) == {}


def test_a_deleted_id_of_another_tenant_is_not_found(world: World) -> None:
    at = datetime.now(UTC)
    with world.database.transaction() as session:
        tombstones.bury(session, TenantId("other"), ["gen_theirs"], Deletion(at))
        session.add(GenerationRow(id="gen_alive", tenant_id="other", seed=0, settings={}, created_at=at))
    for name in ("gen_theirs", "gen_alive", "gen_never"):
        answer = world.client.get(f"/v1/generations/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert world.client.delete(f"/v1/generations/{name}").status_code == 404


@pytest.mark.parametrize("kind", ["datasets", "adaptations", "adapters", "generations", "evaluations", "recognitions"])
def test_what_was_never_there_cannot_be_deleted(world: World, kind: str) -> None:
    assert world.client.delete(f"/v1/{kind}/x_0").status_code == 404


def test_a_tombstone_that_is_pruned_answers_404_again(world: World) -> None:
    dataset = f"/v1/datasets/{world.dataset({'pits': 1})['id']}"
    world.client.delete(dataset)
    assert gone(world, dataset)
    with world.database.transaction() as session:
        tombstones.prune(session, datetime.now(UTC) + timedelta(seconds=1))
    assert world.client.get(dataset).status_code == 404
