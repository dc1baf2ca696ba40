"""A disk that is full at any of a job's writes: the job fails with a reason, leaves nothing, and can be done again.

Where there is no room to write that it failed either, its lease runs out and it goes on when there is room.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import cycle

from service.contracts.jobs import JobState
from service.store.tables import JobRow
from tests.fakes.attempts import MET_A_FULL_DISK, started
from tests.fakes.worker_world import quick
from tests.integration.faults.attempting import Attempting
from tests.integration.test_recognition import CLASSES, NO_GATES, archive

#: Every one of a generation's files; of an adaptation's, which are many and alike, every sixth. The others write none.
FILE_STEP = {"adaptation": 6, "generation": 1}
#: Of the changes to the record: every one of the short job's; of the others', which repeat themselves, some.
RECORD_STEP = {"adaptation": 9, "generation": 3, "evaluation": 1, "recognition": 6}
FOR_EVER = sys.maxsize


def test_a_disk_that_is_full_at_any_write_fails_the_job_and_leaves_nothing(attempting: Attempting) -> None:
    for kind, resource_id in submitted(attempting):
        undisturbed = made(attempting, resource_id)
        if kind in FILE_STEP:
            check_every_file(attempting, resource_id, undisturbed, FILE_STEP[kind])
        else:
            attempting.queue_again(resource_id)
            assert ended(attempting, disk_full_at=1) == 0
            assert attempting.made(resource_id) == undisturbed


def test_a_record_that_is_full_at_any_change_loses_no_job_and_publishes_no_half(attempting: Attempting) -> None:
    seen: Counter[str] = Counter()
    for kind, resource_id in submitted(attempting):
        undisturbed = made(attempting, resource_id)
        seen += check_every_change(attempting, resource_id, undisturbed, RECORD_STEP[kind])
    # Not claimed; begun and left to the sweep; failed with a reason; a change that was a courtesy.
    assert set(seen) == {JobState.QUEUED, JobState.RUNNING, JobState.FAILED, JobState.SUCCEEDED}, seen


def submitted(attempting: Attempting) -> Iterator[tuple[str, str]]:
    """One job of each kind, queued: the kind and the id of its resource. Each must be done before the next is asked."""
    dataset_id = attempting.client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()["id"]
    settings = quick(num_trials=1).model_dump(mode="json")
    adapted = {"dataset_id": dataset_id, "classes": [CLASSES[0]], "settings": settings}
    generated = {"num_images": 5, "seed": 5, "gates": NO_GATES}
    adaptation_id = attempting.submitted("/v1/adaptations", adapted)
    yield "adaptation", adaptation_id
    generation_id = attempting.submitted("/v1/generations", {**generated, "adaptation_id": adaptation_id})
    yield "generation", generation_id
    real = {"source": "dataset", "dataset_id": dataset_id, "class_name": CLASSES[0], "split": "train"}
    other = {"source": "generation", "generation_id": generation_id, "class_name": CLASSES[0]}
    yield "evaluation", attempting.submitted("/v1/evaluations", {"real": real, "other": other})
    of_all = attempting.submitted("/v1/adaptations", {**adapted, "classes": CLASSES, "settings": quick().model_dump()})
    attempting.whole()
    generation_id = attempting.submitted("/v1/generations", {**generated, "adaptation_id": of_all})
    attempting.whole()
    trained = {"ratios": [1], "num_seeds": 2, "num_selection_seeds": 1, "steps": 5, "image_size_px": 32}
    asked = {"dataset_id": dataset_id, "generation_id": generation_id, "settings": trained}
    yield "recognition", attempting.submitted("/v1/recognitions", asked)


def made(attempting: Attempting, resource_id: str) -> dict[str, object]:
    attempting.whole()
    return attempting.made(resource_id)


def ended(attempting: Attempting, disk_full_at: int | None = None, record_full: range = range(0)) -> int | None:
    process = started(attempting.world.settings.model_dump(), 3600, disk_full_at, record_full=record_full)
    process.join()
    return process.exitcode


def check_every_file(attempting: Attempting, resource_id: str, undisturbed: dict[str, object], step: int) -> None:
    number = 1
    while True:
        attempting.queue_again(resource_id)
        status = ended(attempting, disk_full_at=number)
        if status == 0:
            break
        assert status == MET_A_FULL_DISK
        (row,) = attempting.rows(resource_id)
        check_failed(attempting, row)
        number += step
    assert number > 5
    assert attempting.made(resource_id) == undisturbed


def check_every_change(
    attempting: Attempting, resource_id: str, undisturbed: dict[str, object], step: int
) -> Counter[str]:
    """In turns the room is back at once, and not before the process has ended. In which states that left the job."""
    seen: Counter[str] = Counter()
    number = 1
    for length in cycle((1, FOR_EVER)):
        attempting.queue_again(resource_id)
        status = ended(attempting, record_full=range(number, min(number + length, FOR_EVER)))
        if status == 0:
            break
        assert status == MET_A_FULL_DISK
        (row,) = attempting.rows(resource_id)
        seen[row.state] += 1
        if row.state == JobState.FAILED:
            check_failed(attempting, row)
        else:
            attempting.give_back()
            assert made(attempting, resource_id) == undisturbed
        number += step if length == FOR_EVER else 0
    assert seen.total() >= 4
    assert attempting.made(resource_id) == undisturbed
    return seen


def check_failed(attempting: Attempting, row: JobRow) -> None:
    """With what a client needs to know, and nothing left."""
    assert (row.state, (row.failure or {})["code"]) == (JobState.FAILED, "storage_full"), row.failure
    assert row.failure is not None and row.failure["retryable"]
    assert not list((attempting.world.data_dir / "work").glob("*"))
    assert not list((attempting.world.data_dir / "artifacts" / "incoming").iterdir())
