"""A tenant never sees another's: every route of the document is walked with every id that the other tenant has."""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from service.contracts.ids import TenantId
from service.contracts.keys import Scope
from service.keys import mint, server_secret
from service.settings import Settings
from service.store.database import Database
from service.store.tables import Base
from tests.contract.conftest import World
from tests.contract.test_schemathesis import KEY, filled, opened
from tests.fakes.pictures import png

METHODS = ("get", "post", "put", "patch", "delete")
#: What a list of the stranger's own holds: nothing. Registered names are the operator's, and everybody's.
REGISTERED = {"/v1/base-models", "/v1/extractors", "/v1/classifiers"}


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[World]:
    settings = Settings(data_dir=tmp_path, admin_key=KEY)
    with opened(settings, {"Authorization": f"Bearer {KEY}"}) as world:
        yield world


def stranger_of(world: World, settings: Settings) -> TestClient:
    """A client with a key of another tenant that may read and write."""
    key, _ = mint(
        world.database, server_secret(settings), tenant_id=TenantId("stranger"), name="stranger",
        scopes=[Scope.WRITE], now=datetime.now(UTC), expires_at=None,
    )  # fmt: skip
    return TestClient(world.app, headers={"X-API-Key": key}, raise_server_exceptions=False)


def rows(database: Database) -> dict[str, list[Any]]:
    """Everything in the record, but when a key was used."""
    with database.reading() as session:
        return {
            name: sorted(map(repr, session.execute(select(table)).all()))
            for name, table in Base.metadata.tables.items()
            if name != "api_key"
        }


def bodies(ids: dict[str, list[Any]]) -> dict[str, list[dict[str, Any]]]:
    """What a stranger would post who knows the owner's ids."""
    dataset, generation = ids["dataset_id"][0], ids["generation_id"][0]
    real = {"source": "dataset", "dataset_id": dataset, "class_name": "pits", "split": "train"}
    made = {"source": "generation", "generation_id": generation, "class_name": "pits"}
    return {
        "/v1/adaptations": [{"dataset_id": dataset}],
        "/v1/generations": [
            {"adaptation_id": ids["adaptation_id"][0], "num_images": 1},
            {"adapter_ids": ids["adapter_id"], "num_images": 1},
        ],
        "/v1/evaluations": [{"real": real, "other": made}, {"real": real, "other": real}],
        "/v1/recognitions": [{"dataset_id": dataset, "generation_id": generation}],
        "/v1/webhooks": [{"url": "https://8.8.8.8/", "resource_id": generation}],
    }


def test_another_tenant_s_key_finds_nothing_by_any_id_on_any_route(owner: World, tmp_path: Path) -> None:
    ids = filled(owner)
    stranger = stranger_of(owner, Settings(data_dir=tmp_path, admin_key=KEY))
    every_id = sorted({str(one) for name, values in ids.items() if name.endswith("_id") for one in values})
    known = {name: every_id for name in ids if name.endswith("_id")} | {
        "class_name": ["pits"],
        "number": [0],
        "trial": [0],
    }
    document = owner.client.get("/openapi.json").json()
    before = rows(owner.database)
    walked: dict[str, set[int]] = {}
    for path, operations in document["paths"].items():
        names = re.findall(r"{(\w+)}", path)
        for method in (one for one in METHODS if one in operations and path.startswith("/v1")):
            for values in itertools.product(*(known.get(name, every_id) for name in names)):
                filled_path = path.format(**dict(zip(names, values, strict=True)))
                walked.setdefault(f"{method} {path}", set()).update(
                    statuses(stranger, method, path, filled_path, bodies(ids))
                )
    assert rows(owner.database) == before
    of_one = {operation: found for operation, found in walked.items() if "{" in operation}
    assert len(of_one) > 20
    assert {operation: found for operation, found in of_one.items() if found - {404}} == {}
    posted = {
        operation: found for operation, found in walked.items() if operation.startswith("post") and "{" not in operation
    }
    assert {operation for operation, found in posted.items() if found != {404}} == {"post /v1/datasets"}


def statuses(stranger: TestClient, method: str, path: str, filled_path: str, asked: dict[str, Any]) -> Iterator[int]:
    if method == "put" and path.endswith("/decisions"):
        rejected = {"class_name": "pits", "number": 0, "decision": "reject"}
        yield stranger.put(filled_path, json={"decisions": [rejected]}).status_code
    elif method == "put":
        files = {"images": ("pits/0.png", png(1), "image/png")}
        yield stranger.put(filled_path, files=files).status_code
    elif method == "post" and path == "/v1/datasets":
        yield stranger.post(filled_path).status_code  # a dataset of its own is nobody else's
    elif method == "post" and path in asked:
        for body in asked[path]:
            yield stranger.post(filled_path, json=body).status_code
    elif method == "get" and "{" not in path and path not in REGISTERED:
        answer = stranger.get(filled_path)
        assert answer.json()["items"] == [], path
        yield answer.status_code
    elif method == "patch":
        yield stranger.patch(filled_path, json={"description": "mine now"}).status_code
    else:
        yield stranger.request(method, filled_path).status_code
