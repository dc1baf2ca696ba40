"""Requests that no library sends: each is answered by a problem that says what is wrong, and crashes nothing."""

import asyncio
import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.types import Message

from service.api import middleware, problems
from service.api.middleware import BodyLimit, RequestIds
from service.settings import Settings
from tests.conftest import new_database
from tests.contract.conftest import World, opened
from tests.fakes.pictures import png

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
END = b"--b--\r\n"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One API for all of this file: none of its requests minds what the others left."""
    folder = tmp_path_factory.mktemp("hostile")
    with ExitStack() as opened_ones:
        url = None
        if request.param == "postgresql":
            url = opened_ones.enter_context(new_database(request.getfixturevalue("postgres_url")))
        settings = Settings(data_dir=folder, database_url=url, max_json_bytes=10_000)
        yield opened_ones.enter_context(opened(settings))


def part(disposition: bytes, body: bytes | None = None, *headers: bytes) -> bytes:
    lines = b"\r\n".join([b"--b", b"Content-Disposition: form-data; " + disposition, *headers])
    return lines + b"\r\n\r\n" + (png(1) if body is None else body) + b"\r\n"


IMAGE = part(b'name="images"; filename="pits/a.png"')


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{}",
        b"[" * 9_000,
        b'{"dataset_id": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"dataset_id": ' + b"9" * 5_000 + b"}",
        b'{"dataset_id": "a", "settings": {"seed": 1e400}}',
        b'{"dataset_id": "a", "settings": {"seed": NaN}}',
        b'{"dataset_id": "a", "base_model": "\\ud83d"}',
        b'{"dataset_id": "a", "classes": ["\\ud83d"]}',
        b"null",
        b"",
    ],
    ids=range(11),
)
def test_json_that_is_no_unicode_too_deep_or_too_long_is_a_422(world: World, body: bytes) -> None:
    answer = world.client.post("/v1/adaptations", content=body, headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["remedy"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (part(b'name="images"; filename="pits/' + b"a" * 10_000 + b'.png"') + END, 422),
        (part(b'name="images"; filename="pits/' + b"a" * 3_000 + b'.png"') + END, 201),
        (part(b'name="images"; filename="pits/\xff\xfe\xed\xa0\x80.png"') + END, 201),
        (part(b'name="images"; filename="pits/a\x01\x1b[31m.png"') + END, 201),
        (part(b'filename="pits/a.png"') + END, 422),
        (part(b'name="name"', b"x" * 1_100_000) + END, 422),
        (part(b'name="name"', b"a\0b") + IMAGE + END, 422),
        (part(b'name="images"; filename="pits/a.png"', None, *[b"X-A: a"] * 500) + END, 422),
        (part(b'name="groups"', b"a\0b") + IMAGE + END, 422),
        (part(b'name="classes"', b"x") * 10_000 + END, 413),
        (END, 422),
    ],
    ids=[
        "10 kB filename",
        "3 kB filename",
        "no UTF-8",
        "control characters",
        "no name",
        "long text",
        "NUL",
        "many headers",
        "NUL group",
        "10,000 fields",
        "nothing",
    ],
)
def test_strange_forms_are_taken_or_refused_in_words(world: World, body: bytes, status: int) -> None:
    answer = world.client.post("/v1/datasets", content=body, headers=FORM)
    assert answer.status_code == status, answer.text
    if status == 201:
        listed = world.client.get(answer.json()["links"]["images"]).json()["items"]
        assert len(listed[0]["filename"]) <= 255
    else:
        assert answer.json()["remedy"]


def test_a_form_that_breaks_off_is_refused_whole_not_taken_in_part(world: World) -> None:
    before = world.client.get("/v1/datasets").json()
    answer = world.client.post("/v1/datasets", content=IMAGE + IMAGE[:-300], headers=FORM)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_form")
    assert world.client.get("/v1/datasets").json() == before


@pytest.mark.parametrize("headers", [FORM, JSON])
def test_a_compressed_body_is_a_415_and_is_not_expanded(world: World, headers: dict[str, str]) -> None:
    bomb = gzip.compress(bytes(3_000_000))
    answer = world.client.post("/v1/datasets", content=bomb, headers={**headers, "Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")
    assert "Content-Encoding" in answer.json()["remedy"]


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "forged",
    [
        cursor("0001-01-01T00:00:00+23:59", "x"),
        cursor("9999-12-31T23:59:59-23:59", "x"),
        cursor("2026-01-01", "x"),
        cursor("2026-01-01T00:00:00+00:00", "\ud800"),
        cursor(["x"], {}),
        cursor(),
        "A" * 1_024,
        "%%%",
        "é",
    ],
)
def test_a_forged_cursor_is_a_422(world: World, forged: str) -> None:
    answer = world.client.get("/v1/jobs", params={"cursor": forged})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("bytes=0-3", 206),
        ("bytes=0-1,5-6", 206),
        ("bytes=-5", 206),
        ("bytes=999999-", 416),
        ("bytes=5-3", 200),
        ("lines=1-2", 200),
        ("bytes", 200),
        ("bytes=" + "9" * 5_000 + "-", 200),
        ("bytes=" + "0-1," * 3_000, 200),
    ],
    ids=range(9),
)
def test_a_range_is_served_refused_or_ignored_as_http_has_it(world: World, given: str, status: int) -> None:
    dataset = world.dataset({"pits": 1})
    content = world.client.get(dataset["links"]["images"]).json()["items"][0]["links"]["content"]
    answer = world.client.get(content, headers={"Range": given})
    assert answer.status_code == status
    if status == 416:
        assert answer.json()["code"] == "range_not_satisfiable"
        assert answer.headers["content-range"].startswith("bytes */")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("OPTIONS", "/v1/adaptations", "GET, POST"),
        ("PATCH", "/v1/adapters/adp_0", "GET, DELETE"),
        ("BREW", "/v1/jobs", "GET"),
        ("DELETE", "/docs/swagger-ui.css", "GET, HEAD"),
    ],
)
def test_a_405_names_every_method_of_the_path(world: World, method: str, path: str, allowed: str) -> None:
    answer = world.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_a_database_that_is_out_is_a_503_that_says_when_to_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    def out(*arguments: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("connection refused"))

    monkeypatch.setattr("service.store.jobs.polled", out)
    answer = world.client.get("/v1/jobs/job_0")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    assert "refused" not in answer.text


def slow_app() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.post("/")
    async def read(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(BodyLimit, max_upload_bytes=10**6, max_json_bytes=10**6)
    app.add_middleware(RequestIds)
    return app


@pytest.mark.parametrize("pause_seconds", [0.0, 0.2])
def test_a_body_that_trickles_is_given_up_and_one_that_flows_is_not(
    pause_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "_PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(middleware, "_LEAST_BYTES_A_SECOND", 10)
    sent: list[Message] = []
    pieces = iter(range(20))

    async def receive() -> Message:
        await asyncio.sleep(pause_seconds)
        return {"type": "http.request", "body": b"x", "more_body": next(pieces) < 19}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(slow_app()(scope, receive, send))
    assert sent[0]["status"] == (408 if pause_seconds else 200)


def test_after_the_body_the_client_s_going_away_is_waited_for_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that streams asks for more after the body's end, to learn of a client that left."""
    monkeypatch.setattr(middleware, "_PATIENCE_SECONDS", 0.1)
    messages: list[Message] = [{"type": "http.request", "body": b"x", "more_body": False}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        if len(messages) == 1:
            await asyncio.sleep(0.3)
        return messages.pop(0)

    counted = middleware._counted(receive, 10, "max_json_bytes")

    async def both() -> list[str]:
        return [(await counted())["type"], (await counted())["type"]]

    assert asyncio.run(both()) == ["http.request", "http.disconnect"]
