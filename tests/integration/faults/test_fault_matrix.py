"""Everything that can be killed is killed while clients submit work: what was accepted is done, once, and whole.

One plant lives through all faults. Each fault hits while jobs are queued and running; then everything must settle and
the books must balance. The counts are shown as the test ends.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis as RedisClient

from service.store.sweep import sweep
from tests import servers
from tests.fakes.pictures import png
from tests.fakes.worker_world import World, now, quick
from tests.integration.faults.accounts import account
from tests.integration.faults.plant import Plant, Server, freeze
from tests.integration.test_recognition import CLASSES, NO_GATES, archive

FREEZE_SECONDS = 4.0
#: Of each request, with one key.
CLIENTS = 3


@pytest.fixture
def plant(tmp_path: Path, registry: Path) -> Iterator[Plant]:
    port, cluster_files = servers.free_port(), servers.postgres_cluster()
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(cluster_files)
        redis = Server(lambda: servers.redis(tmp_path, port))
        stack.callback(redis.end)
        postgres = Server(lambda: servers.postgres_server(cluster, stop=signal.SIGQUIT))
        stack.callback(postgres.end)
        world = World(tmp_path / "data", registry, redis.url, postgres.url)
        stack.callback(world.close)
        plant = Plant(world, redis, postgres)
        stack.callback(plant.end)
        yield plant


def kill_the_api(plant: Plant) -> None:
    plant.api.kill()
    time.sleep(0.5)
    plant.api.restart()


def kill_a_pool_process(plant: Plant) -> None:
    """As the kernel does when memory is short."""
    plant.wait_for_running()
    for worker in plant.workers:
        if pid := worker.pool_process():
            os.kill(pid, signal.SIGKILL)


def kill_a_worker(plant: Plant) -> None:
    plant.wait_for_running()
    plant.workers[0].kill()
    plant.workers[0].restart()


def stop_a_worker(plant: Plant) -> None:
    plant.wait_for_running()
    assert plant.workers[1].stop() == 0
    plant.workers[1].restart()


def freeze_a_worker(plant: Plant) -> None:
    """Longer than its lease: it comes back to a job that another has taken up."""
    plant.wait_for_running()
    if pid := plant.workers[0].pool_process():
        freeze(pid, FREEZE_SECONDS)


def kill_the_sweep(plant: Plant) -> None:
    plant.sweep.kill()
    plant.workers[0].kill()
    plant.workers[0].restart()
    plant.sweep.restart()


def restart_redis_empty(plant: Plant) -> None:
    """It keeps nothing on disk."""
    plant.redis.restart(away_seconds=1.0)


def empty_redis(plant: Plant) -> None:
    with RedisClient.from_url(plant.redis.url) as connection:
        connection.flushall()


def crash_postgres(plant: Plant) -> None:
    """It ends without a word to anybody, and recovers from its log when it starts again."""
    plant.postgres.restart(away_seconds=1.0)


def wake_everybody_for_everything(plant: Plant) -> None:
    plant.wake_everybody(times=5)


def jump_the_clock(plant: Plant) -> None:
    """A sweep that believes it is two hours later takes every running job from its living worker."""
    for _ in range(3):
        with plant.world.database.transaction() as session:
            later = now() + timedelta(hours=2)
            sweep(session, now=later, max_attempts=1000, resend_after_seconds=0)
        time.sleep(0.3)


FAULTS: tuple[Callable[[Plant], None], ...] = (
    kill_the_api, kill_a_pool_process, kill_a_worker, stop_a_worker, freeze_a_worker, kill_the_sweep,
    restart_redis_empty, empty_redis, crash_postgres, wake_everybody_for_everything, jump_the_clock,
)  # fmt: skip


def tell(request: pytest.FixtureRequest, lines: list[str]) -> None:
    """Show figures in the test run's own output, past its capture."""
    plugins = request.config.pluginmanager
    with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
        for line in ["", *lines]:
            plugins.get_plugin("terminalreporter").write_line(line)


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


def test_an_artefact_that_was_truncated_ends_its_job_with_a_reason_and_no_other(plant: Plant) -> None:
    dataset = plant.post("/v1/datasets", files={"archive": ("set.zip", archive())})
    settings = quick().model_dump(mode="json")
    lost, kept = CLASSES
    image = next(
        one for one in plant.get(f"/v1/datasets/{dataset['id']}/images?limit=100").json()["items"]
        if one["class_name"] == lost and one["split"] == "train"
    )  # fmt: skip
    path = plant.world.artifacts.path_of(image["sha256"])
    path.write_bytes(path.read_bytes()[:100])
    adaptation = plant.post("/v1/adaptations", json={"dataset_id": dataset["id"], "settings": settings})
    plant.settle()
    jobs = {job["class_name"]: job for job in plant.get(f"/v1/adaptations/{adaptation['id']}").json()["jobs"]}
    assert (jobs[lost]["state"], jobs[kept]["state"]) == ("failed", "succeeded")
    assert jobs[lost]["failure"]["code"] == "artifact_damaged"
    assert image["sha256"] in jobs[lost]["failure"]["message"]


def test_fifty_clients_with_one_key_make_one_dataset_while_the_api_dies(plant: Plant) -> None:
    files = {"images": ("bright/0.png", png(0), "image/png")}
    answers = plant.post_at_once("/v1/datasets", clients=50, files=files)
    for _ in range(3):
        time.sleep(0.4)
        plant.api.kill()
        plant.api.restart()
    assert len({answer.result()["id"] for answer in answers}) == 1
    assert account(plant.world, plant.accepted).done_twice == 0
