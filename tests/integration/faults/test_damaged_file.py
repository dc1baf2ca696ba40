"""A stored file that lost its end: the job that needs it says so, and no other job suffers."""

from service.contracts.jobs import JobState
from tests.fakes.worker_world import quick
from tests.integration.faults.attempting import Attempting
from tests.integration.test_recognition import CLASSES, archive


def test_an_artefact_that_was_truncated_ends_its_job_with_a_reason_and_no_other(attempting: Attempting) -> None:
    dataset = attempting.client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()
    lost, kept = CLASSES
    image = next(
        one for one in attempting.client.get(f"/v1/datasets/{dataset['id']}/images?limit=100").json()["items"]
        if one["class_name"] == lost and one["split"] == "train"
    )  # fmt: skip
    path = attempting.world.artifacts.path_of(image["sha256"])
    path.write_bytes(path.read_bytes()[:100])
    asked = {"dataset_id": dataset["id"], "settings": quick().model_dump(mode="json")}
    adaptation_id = attempting.submitted("/v1/adaptations", asked)
    attempting.whole()
    jobs = {row.class_name: row for row in attempting.rows(adaptation_id)}
    assert (jobs[lost].state, jobs[kept].state) == (JobState.FAILED, JobState.SUCCEEDED)
    failure = jobs[lost].failure or {}
    assert failure["code"] == "artifact_damaged"
    assert image["sha256"] in failure["message"]
