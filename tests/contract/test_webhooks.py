import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.contracts.ids import DEFAULT_TENANT, WebhookId
from service.contracts.webhooks import DisabledReason
from service.main import create_app
from service.settings import Settings
from service.store import webhooks
from tests.contract.conftest import Sender, World
from tests.integration.test_embedded import wait_for

PUBLIC = "https://qa.example.com/hook"


@pytest.fixture
def world(world: World, settings: Settings) -> Iterator[World]:
    """As others have it, with name servers that know two hosts."""
    known = {"qa.example.com": ["8.8.8.8"], "qa.plant.local": ["10.20.0.7"]}

    def resolve(host: str, port: int) -> list[str]:
        if host not in known:
            raise OSError("unknown")
        return known[host]

    listed = settings.model_copy(update={"max_webhooks": 3})
    app = create_app(listed, database=world.database, artifacts=world.artifacts, send=Sender(), resolve=resolve)
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    yield World(app, client, world.database, world.artifacts, world.sender)


def registered(world: World, **asked: Any) -> dict[str, Any]:
    answer = world.client.post("/v1/webhooks", json={"url": PUBLIC, **asked})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_the_secret_is_told_at_registration_and_never_again(world: World) -> None:
    made = registered(world, events=["job.failed"], description="line 3")
    assert made["secret"].startswith("whsec_")
    one = world.client.get(made["links"]["self"])
    listed = world.client.get("/v1/webhooks").json()["items"]
    assert listed == [one.json()]
    assert "secret" not in one.json()
    assert made["secret"].removeprefix("whsec_") not in one.text
    assert (one.json()["events"], one.json()["state"]) == (["job.failed"], "enabled")


def test_a_url_that_may_not_be_sent_to_is_refused_with_a_remedy(world: World) -> None:
    made = registered(world)
    refused = {
        "https://qa.plant.local/hook": "url_refused",
        "ftp://qa.example.com/": "url_refused",
        "https://nowhere.example.com/": "host_unresolved",
    }
    for url, code in refused.items():
        for answer in (
            world.client.post("/v1/webhooks", json={"url": url}),
            world.client.patch(made["links"]["self"], json={"url": url}),
        ):
            problem = answer.json()
            assert (answer.status_code, problem["code"], problem["field"]) == (422, code, "url")
            assert problem["remedy"]
            assert "10.20.0.7" not in answer.text
    assert world.client.get(made["links"]["self"]).json()["url"] == PUBLIC


def test_a_name_server_that_does_not_answer_stalls_no_poll_and_is_given_up(settings: Settings) -> None:
    answering = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        answering.wait(30)
        return ["8.8.8.8"]

    app = create_app(settings, send=Sender(), resolve=resolve)
    lookups = app.state.parts.webhooks.lookups
    lookups.patience_seconds = 1.0
    with TestClient(app, base_url="http://127.0.0.1") as client, ThreadPoolExecutor(12) as threads:
        asked = [threads.submit(client.post, "/v1/webhooks", json={"url": PUBLIC}) for _ in range(12)]
        polls = []
        while not all(one.done() for one in asked):
            began = time.monotonic()
            assert client.get("/v1/jobs").status_code == 200
            polls.append(time.monotonic() - began)
        codes = Counter(one.result().json()["code"] for one in asked)
        assert codes == {"host_unresolved": 8, "lookups_busy": 4}
        assert max(polls) < 1.0, "which is less than the registrations waited"
        answering.set()
        assert wait_for(lambda: client.post("/v1/webhooks", json={"url": PUBLIC}).status_code == 201)


def test_loopback_is_refused_by_the_systems_own_resolver(settings: Settings) -> None:
    app = create_app(settings, send=Sender())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for url in (
            "http://127.0.0.1:8000/",
            "http://localhost:8000/",
            "http://[::1]:8000/",
            "http://169.254.169.254/",
        ):
            assert client.post("/v1/webhooks", json={"url": url}).json()["code"] == "url_refused", url


def test_the_operators_list_admits_a_plants_host(world: World, settings: Settings) -> None:
    listed = settings.model_copy(update={"webhook_allow": "10.20.0.0/16"})
    app = create_app(
        listed,
        database=world.database,
        artifacts=world.artifacts,
        send=Sender(),
        resolve=lambda host, port: ["10.20.0.7"],
    )
    client = TestClient(app, base_url="http://127.0.0.1")
    assert client.post("/v1/webhooks", json={"url": "http://qa.plant.local:8080/hook"}).status_code == 201


def test_what_is_wrong_in_a_registration_is_named(world: World) -> None:
    wrong = [
        ({"events": []}, "events"),
        ({"events": ["job.started"]}, "events"),
        ({"events": ["webhook.ping"]}, "events"),
        ({"description": "\x00"}, "description"),
        ({"secret": "mine"}, "secret"),
        ({"resource_id": "gen"}, "resource_id"),
        ({"url": "https://qa.example.com/" + "x" * 2048}, "url"),
        ({"url": None}, "url"),
    ]
    for asked, field in wrong:
        answer = world.client.post("/v1/webhooks", json={"url": PUBLIC, **asked})
        assert (answer.status_code, answer.json()["field"].split(".")[0]) == (422, field)


def test_there_are_so_many_webhooks_and_no_more(world: World) -> None:
    made = [registered(world) for _ in range(3)]
    answer = world.client.post("/v1/webhooks", json={"url": PUBLIC})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")
    assert world.client.delete(made[0]["links"]["self"]).status_code == 204
    registered(world)


def test_a_canceled_adaptation_is_announced_and_can_be_replayed(world: World) -> None:
    everything = registered(world)
    adaptation = world.adaptation({"pits": 5, "scratches": 5})
    one = registered(world, resource_id=adaptation["id"], events=["adaptation.finished"])
    for job in adaptation["jobs"]:
        world.client.post(job["links"]["cancel"])
    page = world.client.get(everything["links"]["deliveries"], params={"limit": 2}).json()
    rest = world.client.get(everything["links"]["deliveries"], params={"cursor": page["next_cursor"]}).json()
    sent = page["items"] + rest["items"]
    assert sorted(one["event_type"] for one in sent) == ["adaptation.finished", "job.canceled", "job.canceled"]
    [finished] = world.client.get(one["links"]["deliveries"]).json()["items"]
    assert (finished["state"], finished["attempts"], finished["event_type"]) == ("pending", 0, "adaptation.finished")
    replayed = world.client.post(finished["links"]["replay"])
    assert replayed.status_code == 202
    assert replayed.json()["id"] != finished["id"]
    assert replayed.json()["event_id"] == finished["event_id"]
    foreign = finished["links"]["replay"].replace(one["id"], everything["id"])
    assert world.client.post(foreign).status_code == 404
    delivered = world.client.get(one["links"]["deliveries"], params={"state": "delivered"}).json()
    assert delivered["items"] == []


def test_a_resource_that_does_not_exist_cannot_be_listened_to(world: World) -> None:
    answer = world.client.post("/v1/webhooks", json={"url": PUBLIC, "resource_id": f"gen_{0:032x}"})
    assert (answer.status_code, answer.json()["field"]) == (404, "resource_id")


def test_a_disabled_webhook_is_sent_no_ping_until_it_is_enabled(world: World) -> None:
    made = registered(world)
    path = made["links"]["self"]
    assert world.client.post(f"{path}/ping").status_code == 202
    with world.database.transaction() as session:
        webhooks.disable(webhooks.get(session, DEFAULT_TENANT, WebhookId(made["id"])), DisabledReason.GONE)
    shown = world.client.get(path).json()
    assert (shown["state"], shown["disabled_reason"]) == ("disabled", "gone")
    assert world.client.post(f"{path}/ping").json()["code"] == "webhook_disabled"
    enabled = world.client.patch(path, json={"enabled": True}).json()
    assert (enabled["state"], enabled["disabled_reason"]) == ("enabled", None)
    assert world.client.post(f"{path}/ping").status_code == 202
    assert world.client.patch(path, json={"enabled": False}).json()["disabled_reason"] == "client"


def test_a_change_leaves_alone_what_it_does_not_name(world: World) -> None:
    made = registered(world, events=["job.failed"], description="line 3")
    changed = world.client.patch(made["links"]["self"], json={"description": "line 4"}).json()
    assert (changed["events"], changed["description"], changed["url"]) == (["job.failed"], "line 4", PUBLIC)
    assert world.client.patch(made["links"]["self"], json={"events": "all"}).json()["events"] == "all"


def test_a_rotated_secret_is_another_one(world: World) -> None:
    made = registered(world)
    rotated = world.client.post(f"{made['links']['self']}/rotate-secret").json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_until"] is not None


def test_a_deleted_webhook_is_gone_with_its_deliveries(world: World) -> None:
    made = registered(world)
    world.client.post(f"{made['links']['self']}/ping")
    assert world.client.delete(made["links"]["self"]).status_code == 204
    for path in (made["links"]["self"], made["links"]["deliveries"]):
        assert world.client.get(path).status_code == 404
    assert world.client.post(f"{made['links']['self']}/ping").status_code == 404
