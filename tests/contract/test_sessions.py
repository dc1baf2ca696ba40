"""A browser's session: when its cookie is sent, what it may be used for, and what is left when it ends."""

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from service.contracts.keys import Scope
from service.main import create_app
from tests.contract.conftest import World
from tests.contract.test_keys import Gate, gate
from tests.contract.test_page import OWN, signed_in

__all__ = ["gate"]

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


def cookie_given(gate: Gate, base_url: str = "http://testserver", public_url: str | None = None) -> str:
    settings = gate.settings.model_copy(update={"public_url": public_url})
    app = create_app(settings, database=gate.database, send=lambda *_: True, clock=lambda: gate.now)
    browser = TestClient(app, base_url=base_url, follow_redirects=False)
    form = {"key": gate.key(Scope.READ)}
    return browser.post("/login", data=form, headers={"Origin": base_url}).headers["set-cookie"].lower()


def test_the_cookie_comes_along_with_links_from_elsewhere_and_no_script_reads_it(gate: Gate) -> None:
    given = cookie_given(gate)
    assert "samesite=lax" in given and "httponly" in given


def test_the_cookie_is_never_sent_over_plain_http_where_people_come_by_https(gate: Gate) -> None:
    assert "secure" not in cookie_given(gate)
    assert "secure" in cookie_given(gate, base_url="https://testserver")
    behind_a_proxy = cookie_given(gate, public_url="https://qa.plant.local")
    assert "secure" in behind_a_proxy
    assert "secure" not in cookie_given(gate, public_url="http://qa.plant.local")


def changing_routes(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, APIRoute):
            path = re.sub(r"{\w+(:\w+)?}", "x", route.path)
            yield from ((method, path) for method in sorted(route.methods & CHANGING))
        else:
            yield from changing_routes(getattr(getattr(route, "original_router", None), "routes", []))


def test_nothing_is_changed_by_a_session_for_another_page(gate: Gate) -> None:
    browser = signed_in(gate, gate.key(Scope.WRITE))
    routes = set(changing_routes(gate.client.app.routes))  # type: ignore[attr-defined]
    assert {("POST", "/v1/datasets"), ("POST", "/logout"), ("DELETE", "/v1/generations/x")} < routes
    assert len(routes) > 30
    for method, path in sorted(routes):
        for told in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://mail.example"}, {}):
            answer = browser.request(method, path, headers=told)
            assert answer.status_code == 403, (method, path, told)
            assert "another address" in answer.text


def test_signing_out_leaves_nothing_that_the_browser_kept(gate: Gate) -> None:
    browser = signed_in(gate, gate.key(Scope.READ))
    left = browser.post("/logout", headers=OWN)
    assert left.headers["clear-site-data"] == '"cache"'
    assert 'defectsynth_session=""' in left.headers["set-cookie"]


@pytest.mark.parametrize("link", ["content", "thumbnail"])
def test_a_kept_picture_is_another_one_for_another_session(link: str, world: World) -> None:
    dataset = world.dataset({"pits": 1})
    address = world.client.get(f"/v1/datasets/{dataset['id']}/images").json()["items"][0]["links"][link]
    first = world.client.get(address)
    again = world.client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    for answer in (first, again):
        assert "cookie" in answer.headers["vary"].lower()
        assert "private" in answer.headers["cache-control"]
