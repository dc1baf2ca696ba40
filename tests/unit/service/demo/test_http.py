import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service.api.views import ReadyView
from service.contracts.ids import DatasetId
from service.contracts.requests import AdaptationRequest
from service.demo import http
from service.demo.failure import DemoFailed
from service.demo.http import Client

READY = {"status": "ready", "checks": {}}
Answer = Callable[[httpx.Request], httpx.Response]


def gone() -> None:
    raise DemoFailed("The service ended.")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_PAUSE_SECONDS", 0.0)


def client_of(answer: Answer, still_up: Callable[[], None] = lambda: None) -> Client:
    return Client("http://service", still_up, httpx.MockTransport(answer))


def failing_first(times: int) -> Answer:
    left: Iterator[bool] = iter([True] * times + [False] * 100)

    def answer(request: httpx.Request) -> httpx.Response:
        if next(left):
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, json=READY)

    return answer


def test_a_read_is_tried_again_until_it_is_answered() -> None:
    assert client_of(failing_first(3)).get("/health/ready", ReadyView).status == "ready"


def test_a_read_is_given_up_in_the_end() -> None:
    with pytest.raises(DemoFailed, match="does not answer at /health/ready"):
        client_of(failing_first(50)).get("/health/ready", ReadyView)


def test_a_service_that_ended_is_not_called_again() -> None:
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(DemoFailed, match="The service ended"):
        client_of(answer, gone).get("/health/ready", ReadyView)
    assert len(calls) == 1


def test_a_write_is_sent_once_with_what_was_said_and_no_defaults() -> None:
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        raise httpx.ReadError("lost", request=request)

    with pytest.raises(DemoFailed, match="does not answer"):
        client_of(answer).post("/v1/adaptations", AdaptationRequest(dataset_id=DatasetId("ds_1")), ReadyView)
    assert bodies == [{"dataset_id": "ds_1"}]


def test_what_has_not_changed_is_not_read_again() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers.get("If-None-Match") == '"1"':
            return httpx.Response(304)
        return httpx.Response(200, json=READY, headers={"ETag": '"1"'})

    client = client_of(answer)
    first, etag = client.get_changed("/x", ReadyView, None)
    again, same = client.get_changed("/x", ReadyView, etag)
    assert first is not None
    assert (again, same) == (None, '"1"')


def test_a_problem_is_told_in_its_own_words_with_the_refused_files() -> None:
    problem = {
        "title": "No acceptable images", "detail": "none of 1 files can be used", "remedy": "Send images.",
        "refused": [{"filename": "a.png", "code": "x", "reason": "it is empty", "remedy": "Export it again."}],
    }  # fmt: skip
    with pytest.raises(
        DemoFailed, match=r"GET /x was answered 422.*Send images\.\n  a\.png: it is empty\. Export"
    ) as told:
        client_of(lambda request: httpx.Response(422, json=problem)).get("/x", ReadyView)
    assert "{" not in str(told.value)


def test_an_answer_that_is_no_problem_document_is_shown_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match=r"answered 502\. Bad gateway"):
        client_of(lambda request: httpx.Response(502, text="Bad gateway")).download("/x", tmp_path / "x")
    assert not (tmp_path / "x").exists()
