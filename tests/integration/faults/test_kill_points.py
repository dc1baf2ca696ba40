"""Jobs of every kind, killed at random moments and taken up by other processes, end as if nothing had happened."""

import os
import signal
import time

from service.contracts.ids import JobId
from service.contracts.jobs import JobState
from service.store.tables import JobRow
from tests.fakes.attempts import is_frozen, started
from tests.fakes.worker_world import quick
from tests.integration.faults.attempting import Attempting
from tests.integration.test_recognition import CLASSES, NO_GATES, archive

#: In the middle of a job; more may hit a process that starts or ends.
NUM_KILLS = {"adaptation": 8, "generation": 6, "evaluation": 2, "recognition": 6}
#: In the middle of a training that another process then takes up.
NUM_FREEZES = 2


def test_jobs_killed_at_random_moments_give_the_bytes_of_jobs_that_were_not(attempting: Attempting) -> None:
    dataset_id = attempting.client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()["id"]
    settings = quick(steps=12, num_trials=2).model_dump(mode="json")
    ids: dict[str, str] = {}
    for kind, path, body in (
        ("adaptation", "/v1/adaptations", lambda: {"dataset_id": dataset_id, "settings": settings}),
        ("generation", "/v1/generations", lambda: {
            "adaptation_id": ids["adaptation"], "num_images": 32, "seed": 5,
            "gates": {"wrong_class": False, "outliers": False},
        }),
        ("evaluation", "/v1/evaluations", lambda: {
            "real": {"source": "dataset", "dataset_id": dataset_id, "class_name": CLASSES[0], "split": "train"},
            "other": {"source": "generation", "generation_id": ids["generation"], "class_name": CLASSES[0]},
        }),
        ("recognition", "/v1/recognitions", lambda: {
            "dataset_id": dataset_id, "generation_id": ids["generation"],
            "settings": {"ratios": [0.5, 1], "num_seeds": 2, "num_selection_seeds": 1, "steps": 15,
                         "image_size_px": 32},
        }),
    ):  # fmt: skip
        ids[kind] = attempting.submitted(path, body())
        attempting.whole()
        busy_seconds = attempting.busy_seconds(ids[kind])
        undisturbed = attempting.made(ids[kind])
        num_kills = 0
        for _ in range(20):
            attempting.queue_again(ids[kind])
            num_kills += attempting.in_pieces(ids[kind], busy_seconds)
            assert attempting.made(ids[kind]) == undisturbed, kind
            if num_kills >= NUM_KILLS[kind]:
                break
        assert num_kills >= NUM_KILLS[kind], kind


def test_a_generation_whose_worker_is_asked_to_stop_keeps_every_image_and_goes_on(attempting: Attempting) -> None:
    dataset_id = attempting.client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()["id"]
    settings = quick().model_dump(mode="json")
    adaptation_id = attempting.submitted(
        "/v1/adaptations", {"dataset_id": dataset_id, "classes": [CLASSES[0]], "settings": settings}
    )
    attempting.whole()
    asked = {"adaptation_id": adaptation_id, "num_images": 240, "seed": 5, "gates": NO_GATES}
    generation_id = attempting.submitted("/v1/generations", asked)
    attempting.whole()
    undisturbed = attempting.made(generation_id)
    attempting.queue_again(generation_id)
    process = started(attempting.world.settings.model_dump(), checkpoint_seconds=3600)
    (row,) = attempting.rows(generation_id)
    told = attempting.world.wait(JobId(row.id), lambda row: images_done(row) >= 16)
    process.terminate()
    process.join()
    stopped = attempting.world.job(JobId(row.id))
    assert (stopped.state, stopped.attempts) == (JobState.QUEUED, row.attempts)
    assert len((stopped.interim or {})["images"]) >= images_done(told)
    attempting.whole()
    assert attempting.made(generation_id) == undisturbed


def images_done(row: JobRow) -> int:
    return int((row.progress or {"figures": {}})["figures"].get("images_done", 0))


def test_an_adaptation_whose_frozen_worker_comes_back_beside_its_heir_has_the_same_bytes(
    attempting: Attempting,
) -> None:
    dataset_id = attempting.client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()["id"]
    asked = {"dataset_id": dataset_id, "classes": [CLASSES[0]], "settings": quick(steps=20).model_dump(mode="json")}
    adaptation_id = attempting.submitted("/v1/adaptations", asked)
    attempting.whole()
    undisturbed = attempting.made(adaptation_id)
    for _ in range(NUM_FREEZES):
        attempting.queue_again(adaptation_id)
        (row,) = attempting.rows(adaptation_id)
        # Both write a checkpoint at every step; one stands still with the file open that the other is about to write.
        frozen = started(attempting.world.settings.model_dump(), frozen_at=attempting.draws.randint(5, 30))
        while not is_frozen(frozen):
            time.sleep(0.01)
        attempting.give_back()
        heir = started(attempting.world.settings.model_dump())
        attempting.world.wait(JobId(row.id), is_training)
        os.kill(frozen.pid or 0, signal.SIGCONT)
        for process in (frozen, heir):
            process.join()
            assert process.exitcode == 0
        assert attempting.world.job(JobId(row.id)).fencing_token == row.fencing_token + 2
        assert attempting.made(adaptation_id) == undisturbed


def is_training(row: JobRow) -> bool:
    """The claim has taken away what an earlier attempt reported."""
    return row.state == JobState.RUNNING and row.progress is not None and row.progress["step"] > 0
