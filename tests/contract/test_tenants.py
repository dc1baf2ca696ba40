"""A tenant never sees another's: every route of the document is walked with every id that the other tenant has.

A stranger who has nothing walks paths and query parameters; a neighbour who has as much walks what names two things,
with one of its own and one of the other's.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from service.contracts.ids import DEFAULT_TENANT, TenantId
from service.contracts.keys import Scope
from service.keys import mint, server_secret
from service.settings import Settings
from service.store.database import Database
from service.store.tables import Base
from tests.contract.conftest import World, opened
from tests.contract.test_schemathesis import KEY, filled
from tests.fakes.pictures import png

Ids = dict[str, list[Any]]
METHODS = ("get", "post", "put", "patch", "delete")
#: What a list of the stranger's own holds: nothing. Registered names are the operator's, and everybody's.
REGISTERED = {"/v1/base-models", "/v1/extractors", "/v1/classifiers"}
#: No list: events of the one resource that is named.
STREAM = "/v1/events"
#: Keys are made on the command line; what was used is told to nobody, and grows with a stranger's own uploads.
ROUTELESS = {"api_key", "usage"}


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[World]:
    settings = Settings(data_dir=tmp_path, admin_key=KEY, max_event_stream_seconds=0.01)
    with opened(settings, {"Authorization": f"Bearer {KEY}"}) as world:
        yield world


def another(world: World, name: str, tmp_path: Path) -> World:
    """The same API to another tenant, whose key may read and write."""
    key, _ = mint(
        world.database, server_secret(Settings(data_dir=tmp_path, admin_key=KEY)), tenant_id=TenantId(name), name=name,
        scopes=[Scope.WRITE], now=datetime.now(UTC), expires_at=None,
    )  # fmt: skip
    client = TestClient(world.app, headers={"X-API-Key": key}, raise_server_exceptions=False)
    return replace(world, client=client, tenant_id=TenantId(name))


def everything(world: World) -> Ids:
    """A record with something of everything; ids by the name of the parameter or field that takes them."""
    ids: Ids = filled(world)
    version_id = world.client.get(f"/v1/datasets/{ids['dataset_id'][0]}").json()["version"]["id"]
    deleted = world.dataset({"scale": 4})["id"]
    assert world.client.delete(f"/v1/datasets/{deleted}").status_code == 204
    adapters = [one["id"] for one in world.client.get("/v1/adapters").json()["items"]]
    return ids | {"version_id": [version_id], "adapter_id": adapters, "deleted_id": [deleted]}


def rows(database: Database, tenant_id: TenantId | None = None) -> dict[str, list[Any]]:
    """Everything in the record, of one tenant or of all."""
    found: dict[str, list[Any]] = {}
    with database.reading() as session:
        for name, table in Base.metadata.tables.items():
            query = select(table)
            if tenant_id is not None and "tenant_id" in table.columns:
                query = query.where(table.c.tenant_id == tenant_id)
            found[name] = sorted(map(repr, session.execute(query).all()))
    return {name: of_it for name, of_it in found.items() if name not in ROUTELESS}


def every_id(database: Database, ids: Ids) -> list[str]:
    """Those in ``ids``, and one of each table: a kind of thing that nobody made here would be walked by nobody."""
    known = {str(one) for name, values in ids.items() if name.endswith("_id") for one in values}
    with database.reading() as session:
        for name, table in Base.metadata.tables.items():
            if {"id", "tenant_id"} <= set(table.columns.keys()) and name not in ROUTELESS:
                one = session.scalar(select(table.c.id).where(table.c.tenant_id == DEFAULT_TENANT).limit(1))
                assert one is not None, f"the walk knows no {name}"
                known.add(one)
    return sorted(known)


def bodies(ids: Ids) -> dict[str, list[dict[str, Any]]]:
    """What is posted that names ids."""
    dataset, version, generation = (ids[name][0] for name in ("dataset_id", "version_id", "generation_id"))
    real = {"source": "dataset", "dataset_id": dataset, "class_name": "pits", "split": "train"}
    fixed = {**real, "dataset_version_id": version}
    made = {"source": "generation", "generation_id": generation, "class_name": "pits"}
    return {
        "/v1/adaptations": [{"dataset_id": dataset}, {"dataset_id": dataset, "dataset_version_id": version}],
        "/v1/generations": [
            {"adaptation_id": ids["adaptation_id"][0], "num_images": 1},
            {"adapter_ids": ids["adapter_id"], "num_images": 1},
        ],
        "/v1/evaluations": [{"real": fixed, "other": made}, {"real": real, "other": fixed}],
        "/v1/generations/top-up": [
            {name: ids[name][0], "recall_by_class": {"pits": 0.5}} for name in ("adaptation_id", "generation_id")
        ]
        + [{"recognition_id": ids["recognition_id"][0]}],
        "/v1/recognitions": [
            {"dataset_id": dataset, "generation_id": generation},
            {"dataset_id": dataset, "dataset_version_id": version, "generation_id": generation},
        ],
        "/v1/webhooks": [{"url": "https://8.8.8.8/", "resource_id": generation}],
    }


def operations(world: World) -> Iterator[tuple[str, str, list[str], list[dict[str, Any]]]]:
    """Method, path, names in the path and query parameters of every operation of the document."""
    document = world.client.get("/openapi.json").json()
    for path, of_path in document["paths"].items():
        for method in (one for one in METHODS if one in of_path and path.startswith("/v1")):
            parameters = [one for one in of_path[method].get("parameters", []) if one["in"] == "query"]
            yield method, path, re.findall(r"{(\w+)}", path), parameters


def test_another_tenant_s_key_finds_nothing_by_any_id_on_any_route(owner: World, tmp_path: Path) -> None:
    ids = everything(owner)
    stranger = another(owner, "stranger", tmp_path).client
    everyone = every_id(owner.database, ids)
    known = {name: everyone if name.endswith("_id") else values for name, values in ids.items()}
    before = rows(owner.database)
    walked: dict[str, set[int]] = {}
    for method, path, names, _ in operations(owner):
        for values in itertools.product(*(known[name] for name in names)):
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
    elif path == "/v1/events":
        for one in asked["/v1/webhooks"]:
            yield stranger.get(filled_path, params={"resource_id": one["resource_id"]}).status_code
    elif method == "get" and "{" not in path and path not in REGISTERED:
        answer = stranger.get(filled_path)
        assert answer.json()["items"] == [], path
        yield answer.status_code
    elif method == "patch":
        yield stranger.patch(filled_path, json={"description": "mine now"}).status_code
    else:
        yield stranger.request(method, filled_path).status_code


def test_the_ids_that_are_walked_lead_their_owner_to_something(owner: World) -> None:
    ids = everything(owner)
    for method, path, names, _ in operations(owner):
        if method == "get" and path != STREAM:
            found = owner.client.get(path.format(**{name: ids[name][0] for name in names}), follow_redirects=False)
            assert found.status_code in (200, 409), (path, found.text)  # 409: a report of what is not finished


def test_no_query_parameter_opens_a_list_to_another_tenant(owner: World, tmp_path: Path) -> None:
    ids = everything(owner)
    stranger = another(owner, "stranger", tmp_path).client
    everyone, document = every_id(owner.database, ids), owner.client.get("/openapi.json").json()
    walked = []
    for method, path, _, parameters in operations(owner):
        if method != "get" or "{" in path or path in REGISTERED | {STREAM}:
            continue
        values = {one["name"]: queried(one, document, everyone, cursor(owner, path)) for one in parameters}
        for names in (*itertools.combinations(values, 1), *itertools.combinations(values, 2)):
            for chosen in itertools.product(*(values[name] for name in names)):
                answer = stranger.get(path, params=dict(zip(names, chosen, strict=True)))
                assert answer.status_code == 200 and answer.json()["items"] == [], answer.request.url
                walked.append(names)
    assert {("resource_id",), ("resource_id", "class_name"), ("cursor",)} <= set(walked)


def queried(parameter: dict[str, Any], document: dict[str, Any], everyone: list[str], cursor: str) -> list[Any]:
    """What a query parameter is asked with. Fails for a parameter that nobody has thought of here."""
    name = parameter["name"]
    given = {"class_name": ["pits"], "limit": [1], "cursor": [cursor]}
    schemas = parameter["schema"].get("anyOf", [parameter["schema"]])
    for one in schemas:
        if "$ref" in one:
            return list(document["components"]["schemas"][one["$ref"].rpartition("/")[2]]["enum"])
    return everyone if name.endswith("_id") else given[name]


def cursor(owner: World, path: str) -> str:
    """Where the owner's list goes on behind its first item, or one such place of another list."""
    for one in (path, "/v1/jobs"):
        found = owner.client.get(one, params={"limit": 1}).json()["next_cursor"]
        if found is not None:
            return str(found)
    raise AssertionError("the owner has one job at most")


def test_one_s_own_id_beside_another_tenant_s_finds_nothing(owner: World, tmp_path: Path) -> None:
    foreign, neighbour = everything(owner), another(owner, "neighbour", tmp_path)
    own = everything(neighbour)
    before = rows(owner.database, DEFAULT_TENANT)
    mixed_paths, num_mixed_bodies = set(), 0
    for method, path, names, parameters in operations(owner):
        asked = [one["name"] for one in parameters if one["name"] in own and "{" in path]
        for chosen in mixtures([one for one in (*names, *asked) if one.endswith("_id")]):
            ids = own | {name: foreign[name] for name in chosen}
            filled_path = path.format(**{name: ids[name][0] for name in names})
            query = {name: ids[name][0] for name in asked}
            answer = neighbour.client.request(method, filled_path, params=query)
            assert answer.status_code == 404, (method, path, chosen)
            mixed_paths.add(path)
    translated = {str(one): str(other) for name in own for one, other in zip(own[name], foreign[name], strict=True)}
    for path, of_path in bodies(own).items():
        for body in of_path:
            accepted = neighbour.client.post(path, json=body)
            assert accepted.status_code in (200, 201, 202, 409), accepted.text
            for mixed in with_one_replaced(body, translated):
                assert neighbour.client.post(path, json=mixed).status_code == 404, (path, mixed)
                num_mixed_bodies += 1
    assert rows(owner.database, DEFAULT_TENANT) == before
    assert {"/v1/datasets/{dataset_id}", "/v1/datasets/{dataset_id}/images/{image_id}"} <= mixed_paths
    assert num_mixed_bodies > 15


def mixtures(names: list[str]) -> Iterator[tuple[str, ...]]:
    """Which of several ids are another tenant's: some, and not all."""
    for number in range(1, len(names)):
        yield from itertools.combinations(names, number)


def with_one_replaced(body: Any, translated: dict[str, str]) -> Iterator[Any]:
    """The body with one of its ids, at any depth, replaced."""
    if isinstance(body, str) and body in translated and translated[body] != body:
        yield translated[body]
    elif isinstance(body, dict):
        for name, value in body.items():
            yield from ({**body, name: one} for one in with_one_replaced(value, translated))
    elif isinstance(body, list):
        for place, value in enumerate(body):
            yield from ([*body[:place], one, *body[place + 1 :]] for one in with_one_replaced(value, translated))
