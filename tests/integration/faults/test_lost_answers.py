"""Clients whose answers are lost after the commit ask again: with the same key they get the same thing, once."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.fakes.pictures import png
from tests.fakes.worker_world import quick
from tests.integration.faults.accounts import account
from tests.integration.faults.conftest import tell
from tests.integration.faults.plant import Plant
from tests.integration.test_recognition import CLASSES, NO_GATES, archive

NUM_CLIENTS = 50
KEYS_OF_A_KIND = 6
KILLS_OF_A_KIND = 2
#: A kill may come after the answer. One round is nearly always enough.
MAX_ROUNDS = 4

_NOTIFY = """
CREATE FUNCTION tell_of_answer() RETURNS trigger AS $$
BEGIN PERFORM pg_notify('answers', NEW.key); RETURN NEW; END $$ LANGUAGE plpgsql;
CREATE TRIGGER tell_of_answer AFTER INSERT ON idempotency FOR EACH ROW EXECUTE FUNCTION tell_of_answer();
LISTEN answers;
"""


@contextmanager
def listening(url: str) -> Iterator[psycopg.Connection]:
    """PostgreSQL tells of each kept answer in the moment of its commit, before the API learns of it or as it does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_NOTIFY)
        yield connection


def requests(plant: Plant) -> dict[str, tuple[str, dict[str, Any]]]:
    """Path and arguments of the requests that all clients make, by kind."""
    dataset = plant.post("/v1/datasets", files={"archive": ("set.zip", archive())})
    adapt = {"dataset_id": dataset["id"], "classes": [CLASSES[0]], "settings": quick().model_dump(mode="json")}
    adaptation = plant.post("/v1/adaptations", json=adapt)
    plant.settle()
    generate = {"adaptation_id": adaptation["id"], "num_images": 2, "gates": NO_GATES}
    return {
        "dataset": ("/v1/datasets", {"files": {"images": ("bright/0.png", png(0), "image/png")}}),
        "adaptation": ("/v1/adaptations", {"json": adapt}),
        "generation": ("/v1/generations", {"json": generate}),
    }


def kind_of(key: str) -> str:
    return key.partition("-")[0]


def test_fifty_clients_whose_answers_are_lost_as_the_api_dies_make_one_resource_for_each_key(
    plant: Plant, request: pytest.FixtureRequest
) -> None:
    asked, draws = requests(plant), random.Random(20)
    lost: list[str] = []
    num_kills = num_keys = 0
    with listening(plant.postgres.url) as connection:
        for round_ in range(MAX_ROUNDS):
            keys = [f"{kind}-{round_}-{number}" for number in range(KEYS_OF_A_KIND) for kind in asked]
            num_kills += round_of_kills(plant, connection, asked, keys, draws)
            num_keys += len(keys)
            lost += [key for key in keys if key not in plant.accepted.told_at_once]
            if {kind_of(key) for key in lost} == set(asked):
                break
    assert {kind_of(key) for key in lost} == set(asked), "no answer of some kind was lost after its commit"
    plant.settle()
    found = account(plant.world, plant.accepted)
    assert (found.lost, found.done_twice, found.left_behind) == (0, 0, 0), found
    assert set(found.states) == {"succeeded"}, found
    told = f"{NUM_CLIENTS} clients, {num_keys} keys, {num_kills} kills, {len(lost)} answers lost after their commit"
    tell(request, [told, str(found)])


def round_of_kills(
    plant: Plant,
    connection: psycopg.Connection,
    asked: dict[str, tuple[str, dict[str, Any]]],
    keys: list[str],
    draws: random.Random,
) -> int:
    """Every client asks until it is answered; the API is killed between commits and answers. How often it was."""
    clients = []
    for key, number in Counter(keys[number % len(keys)] for number in range(NUM_CLIENTS)).items():
        path, arguments = asked[kind_of(key)]
        clients += plant.post_at_once(path, number, key, **arguments)
    kills: Counter[str] = Counter()
    while not all(client.done() for client in clients):
        for notice in list(connection.notifies(timeout=0.2, stop_after=1)):
            if kills[kind_of(notice.payload)] >= KILLS_OF_A_KIND:
                continue
            time.sleep(draws.choice((0.0, 0.0, 0.001)))
            plant.api.kill()
            kills[kind_of(notice.payload)] += 1
            list(connection.notifies(timeout=0.1))  # What was committed in the same moment is not waited for.
            plant.api.restart()
    for client in clients:
        client.result()
    return kills.total()
