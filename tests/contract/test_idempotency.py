"""A request that is sent again is answered again, and its work is done once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from service.store import idempotency
from service.store.tables import (
    DatasetRow,
    DatasetVersionRow,
    IdempotencyRow,
    JobRow,
    WebhookDeliveryRow,
    WebhookRow,
)
from tests.contract.conftest import World
from tests.fakes.pictures import png

KEY = {"Idempotency-Key": "0f8c6f1e-5f0a-4d6e-9a51-1f0d5b1d7c11"}


def upload(world: World, seed: int = 0, headers: dict[str, str] = KEY, name: str = "line 3") -> httpx.Response:
    files = [("images", (f"pits/{number}.png", png(seed + number))) for number in range(4)]
    return world.client.post("/v1/datasets", files=files, data={"name": name}, headers=headers)


def count(world: World, table: type[Any]) -> int:
    with world.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_an_upload_sent_again_is_answered_with_the_first_answer(world: World) -> None:
    first, again = upload(world), upload(world)
    assert (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
    assert first.headers["Location"] == again.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers and again.headers["Idempotent-Replayed"] == "true"
    assert count(world, DatasetRow) == 1


def test_work_sent_again_is_queued_once_and_the_key_with_other_work_is_refused(world: World) -> None:
    dataset = upload(world, headers={}).json()
    asked = {"dataset_id": dataset["id"], "settings": {"seed": 1}}
    first = world.client.post("/v1/adaptations", json=asked, headers=KEY)
    again = world.client.post("/v1/adaptations", content=first.request.content.replace(b":", b": "), headers={
        **KEY, "Content-Type": "application/json",
    })  # fmt: skip
    assert (first.status_code, first.content) == (again.status_code, again.content) == (202, first.content)
    assert (count(world, JobRow), len(world.sender.sent)) == (1, 1)
    other = world.client.post("/v1/adaptations", json={**asked, "settings": {"seed": 2}}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert upload(world).json()["code"] == "idempotency_key_reused"
    assert count(world, JobRow) == 1


def test_a_request_that_was_refused_may_be_corrected_under_its_key(world: World) -> None:
    assert world.client.post("/v1/adaptations", json={"dataset_id": "ds_none"}, headers=KEY).status_code == 404
    assert upload(world).status_code == 201


def test_fifty_clients_with_one_key_make_one_dataset(world: World) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: upload(world), range(50)))
    told = {answer.status_code for answer in answers}
    assert told <= {201, 409}, told
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 409)
    assert (count(world, DatasetRow), count(world, IdempotencyRow)) == (1, 1)


def test_what_another_process_answered_meanwhile_is_answered_and_nothing_is_done_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process commits after this one has looked for the key and before it writes."""
    first = upload(world)
    looked = []
    find = idempotency.find

    def blind_at_first(*arguments: Any) -> IdempotencyRow | None:
        looked.append(arguments)
        return find(*arguments) if len(looked) > 1 else None

    monkeypatch.setattr(idempotency, "find", blind_at_first)
    second = upload(world)
    assert (second.status_code, second.content) == (201, first.content)
    assert (len(looked), count(world, DatasetRow)) == (2, 1)


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ünicode"])
def test_a_key_that_is_none_is_refused_by_name(world: World, key: str) -> None:
    answer = upload(world, headers={"Idempotency-Key": key.encode("latin-1")})  # type: ignore[dict-item]
    assert answer.status_code == 422
    assert answer.json()["field"] == "idempotency-key"


def test_a_class_s_images_sent_again_make_one_version(world: World) -> None:
    dataset = upload(world, headers={}).json()
    path = f"/v1/datasets/{dataset['id']}/classes/pits/images"
    files = [("images", (f"{number}.png", png(50 + number))) for number in range(4)]
    first, again = (world.client.put(path, files=files, headers=KEY) for _ in range(2))
    assert (first.status_code, first.content) == (again.status_code, again.content) == (200, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert count(world, DatasetVersionRow) == 2
    assert world.client.put(path, files=files[:3], headers=KEY).json()["code"] == "idempotency_key_reused"


def webhook(world: World) -> httpx.Response:
    return world.client.post("/v1/webhooks", json={"url": "https://8.8.8.8/"}, headers=KEY)


def test_a_webhook_registered_again_is_one_and_its_secret_is_not_kept_with_the_answer(world: World) -> None:
    first, again = webhook(world), webhook(world)
    assert (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Cache-Control"] == "no-store"
    assert count(world, WebhookRow) == 1
    secret = first.json()["secret"].removeprefix("whsec_")
    with world.database.reading() as session:
        (kept,) = session.scalars(select(IdempotencyRow))
    assert secret not in f"{kept.body} {kept.headers}"


def test_a_registration_answered_again_tells_the_secret_that_signs_by_then(world: World) -> None:
    made = webhook(world).json()
    path = made["links"]["self"]
    rotated, again = (world.client.post(f"{path}/rotate-secret", headers={"Idempotency-Key": "r"}) for _ in range(2))
    assert rotated.content == again.content
    assert rotated.json()["secret"] != made["secret"]
    assert webhook(world).json()["secret"] == rotated.json()["secret"]
    assert world.client.delete(path).status_code == 204
    assert webhook(world).status_code == 404
    assert count(world, WebhookRow) == 0


def test_a_ping_and_a_replay_sent_again_are_sent_once(world: World) -> None:
    path = webhook(world).json()["links"]["self"]
    pings = [world.client.post(f"{path}/ping", headers={"Idempotency-Key": "p"}) for _ in range(2)]
    assert [answer.status_code for answer in pings] == [202, 202]
    replays = [
        world.client.post(pings[0].json()["links"]["replay"], headers={"Idempotency-Key": "q"}) for _ in range(2)
    ]
    assert pings[0].content == pings[1].content != replays[0].content == replays[1].content
    assert count(world, WebhookDeliveryRow) == 2


#: To ask for these again changes nothing, with a key or without.
HARMLESS_TWICE = {"post /v1/jobs/{job_id}/cancel"}


def test_no_route_that_makes_something_leaves_the_key_unread(world: World) -> None:
    deaf = {
        f"{method} {path}"
        for path, operations in world.client.get("/openapi.json").json()["paths"].items()
        for method in ("post", "put")
        if method in operations
        and "idempotency-key" not in {one["name"].lower() for one in operations[method].get("parameters", [])}
    }
    assert deaf == HARMLESS_TWICE
