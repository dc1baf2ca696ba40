"""Everything that can be killed is killed while clients submit work: what was accepted is done, once, and whole.

One plant lives through all faults. Each fault hits while jobs are queued and running; then everything must settle and
the books must balance. The counts are shown as the test ends.
"""

import os
import signal
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import SweepRow, WorkerRow
from tests.fakes.worker_world import now, quick
from tests.fakes.wrong_clock import set_wrong
from tests.integration.faults.accounts import account
from tests.integration.faults.conftest import tell
from tests.integration.faults.plant import Plant, freeze
from tests.integration.test_recognition import CLASSES, NO_GATES, archive

FREEZE_SECONDS = 4.0
#: By which clocks jump: all leases of a day's work seem over, and no Idempotency-Key is forgotten.
AHEAD = 7200.0
#: Of each request, with one key.
CLIENTS = 3


def kill_a_pool_process(plant: Plant) -> None:
    """As the kernel does when memory is short."""
    plant.wait_for_running()
    for worker in plant.workers:
        if pid := worker.pool_process():
            os.kill(pid, signal.SIGKILL)


def stop_a_worker(plant: Plant) -> None:
    plant.wait_for_running()
    assert plant.workers[1].stop() == 0
    plant.workers[1].restart()


def freeze_a_worker(plant: Plant) -> None:
    """Longer than its lease: it comes back to a job that another has taken up."""
    plant.wait_for_running()
    if pid := plant.workers[0].pool_process():
        freeze(pid, FREEZE_SECONDS)


def kill_a_worker_and_the_sweep(plant: Plant) -> None:
    plant.wait_for_running()
    plant.sweep.kill()
    plant.workers[0].kill()
    plant.workers[0].restart()
    plant.sweep.restart()


def restart_redis_empty(plant: Plant) -> None:
    """It keeps nothing on disk."""
    plant.redis.restart(away_seconds=1.0)


def crash_postgres(plant: Plant) -> None:
    """It ends without a word to anybody, and recovers from its log when it starts again."""
    plant.postgres.restart(away_seconds=1.0)


def wake_everybody_for_everything(plant: Plant) -> None:
    plant.wake_everybody(times=5)


def set_the_clocks_apart(plant: Plant) -> None:
    """The sweep's two hours ahead, so that all leases seem to have run out; the workers' two hours back."""
    plant.wait_for_running()
    set_clocks(plant, sweep=AHEAD, api=0, workers=-AHEAD)


def swap_the_clocks(plant: Plant) -> None:
    """And kill a worker whose lease then ends in two hours, or in four if the sweep is asked."""
    plant.wait_for_running()
    set_clocks(plant, sweep=-AHEAD, api=-AHEAD, workers=AHEAD)
    plant.wait_for_running()
    plant.workers[0].kill()
    plant.workers[0].restart()


def set_the_clocks_right(plant: Plant) -> None:
    plant.wait_for_running()
    set_clocks(plant, sweep=0, api=0, workers=0)


def set_clocks(plant: Plant, sweep: float, api: float, workers: float) -> None:
    """Until sweep and workers have written the time by their new clocks."""
    for part, seconds in ((plant.sweep, sweep), (plant.api, api), *((one, workers) for one in plant.workers)):
        set_wrong(part.clock, seconds)

    def is_told(session: Session) -> bool:
        swept_at = session.scalar(select(SweepRow.swept_at))
        seen = session.scalars(select(WorkerRow.seen_at))
        wrong_by = [(one - now()).total_seconds() for one in seen]
        return (
            swept_at is not None
            and abs((swept_at - now()).total_seconds() - sweep) < AHEAD / 2
            and any(abs(seconds - workers) < AHEAD / 2 for seconds in wrong_by)
        )

    plant.wait_until(is_told)


#: The API is killed in `test_lost_answers.py`.
FAULTS: tuple[Callable[[Plant], None], ...] = (
    kill_a_pool_process, stop_a_worker, freeze_a_worker, kill_a_worker_and_the_sweep, restart_redis_empty,
    crash_postgres, wake_everybody_for_everything, set_the_clocks_apart, swap_the_clocks, set_the_clocks_right,
)  # fmt: skip


def test_whatever_is_killed_what_was_accepted_is_done_once_and_whole(
    plant: Plant, request: pytest.FixtureRequest
) -> None:
    dataset = plant.post("/v1/datasets", files={"archive": ("set.zip", archive())})
    settings = quick().model_dump(mode="json")
    adaptation = plant.post("/v1/adaptations", json={"dataset_id": dataset["id"], "settings": settings})
    plant.settle()
    work = [
        {"adaptation_id": adaptation["id"], "num_images": {name: number}, "seed": number, "gates": NO_GATES}
        for name in CLASSES
        for number in (3, 16)
    ]
    lines = []
    for fault in FAULTS:
        answers = [plant.post_at_once("/v1/generations", clients=CLIENTS, json=one) for one in work]
        fault(plant)
        again = {"dataset_id": dataset["id"], "classes": [CLASSES[0]], "settings": settings}
        plant.post("/v1/adaptations", json=again)
        assert [len({one.result()["id"] for one in same}) for same in answers] == [1] * len(work)
        plant.settle()
        found = account(plant.world, plant.accepted)
        lines.append(f"{fault.__name__:32} {found}")
        assert (found.lost, found.done_twice, found.left_behind) == (0, 0, 0), found
        assert set(found.states) == {"succeeded"}, found
    tell(request, [f"{len(FAULTS)} faults", *lines])
