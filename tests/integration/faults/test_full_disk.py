"""A disk that is full at any of a job's writes: the job fails with a reason, leaves nothing, and can be done again."""

from service.contracts.jobs import JobState
from tests.fakes.attempts import MET_A_FULL_DISK, started
from tests.fakes.worker_world import quick
from tests.integration.faults.attempting import Attempting
from tests.integration.test_recognition import CLASSES, NO_GATES, archive

#: Every one of a generation's writes; of an adaptation's, which are many and alike, every fourth.
STEP = {"adaptation": 4, "generation": 1}


def test_a_disk_that_is_full_at_any_write_fails_the_job_and_leaves_nothing(attempting: Attempting) -> None:
    dataset_id = attempting.client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()["id"]
    settings = quick(num_trials=1).model_dump(mode="json")
    asked = {"dataset_id": dataset_id, "classes": [CLASSES[0]], "settings": settings}
    adaptation_id = attempting.submitted("/v1/adaptations", asked)
    check_every_write(attempting, "adaptation", adaptation_id)
    asked = {"adaptation_id": adaptation_id, "num_images": 5, "seed": 5, "gates": NO_GATES}
    check_every_write(attempting, "generation", attempting.submitted("/v1/generations", asked))


def check_every_write(attempting: Attempting, kind: str, resource_id: str) -> None:
    attempting.whole()
    undisturbed = attempting.made(resource_id)
    number = 1
    while True:
        attempting.queue_again(resource_id)
        process = started(attempting.world.settings.model_dump(), checkpoint_seconds=3600, disk_full_at=number)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == MET_A_FULL_DISK
        (row,) = attempting.rows(resource_id)
        assert (row.state, (row.failure or {})["code"]) == (JobState.FAILED, "storage_full"), row.failure
        assert row.failure is not None and row.failure["retryable"]
        assert not list((attempting.world.data_dir / "work").glob("*"))
        assert not list((attempting.world.data_dir / "artifacts" / "incoming").iterdir())
        number += STEP[kind]
    assert number > 5
    assert attempting.made(resource_id) == undisturbed
