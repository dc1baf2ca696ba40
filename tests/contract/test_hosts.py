"""Which names are answered to: a page whose name was made to point at this machine gets nothing here."""

from pathlib import Path

import pytest

from service.settings import Settings
from tests.contract.conftest import World, opened

KEY = "k" * 40
PATHS = (
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/",
    "/v1/jobs",
    "/static/page.js",
    "/no",
)


def statuses(world: World, host: str) -> set[int]:
    return {world.client.get(path, headers={"Host": host}).status_code for path in PATHS}


def test_without_keys_every_route_answers_to_loopback_s_names_alone(world: World) -> None:
    for host in ("localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:8123", "127.8.9.1", "[::1]", "[::1]:8000"):
        assert 421 not in statuses(world, host), host
    rebound = ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.5", "0.0.0.0", "[::2]", "",
               "evil@localhost", "localhost:8000:8000", "::1", "localhost, evil.example")  # fmt: skip
    for host in rebound:
        assert statuses(world, host) == {421}, host


def test_the_refusal_names_the_setting_and_is_logged_under_its_request(world: World) -> None:
    answer = world.client.post("/v1/datasets", headers={"Host": "evil.example"}, content=b"x")
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("host_unknown", 421)
    assert "DEFECTSYNTH_ALLOWED_HOSTS" in problem["remedy"]
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_names_that_the_operator_lists_are_answered_to(settings: Settings) -> None:
    listed = {"allowed_hosts": "QA.plant.local, 10.20.0.5", "public_url": "https://defects.plant.local:8443"}
    with opened(settings.model_copy(update=listed)) as world:
        for host in ("qa.plant.local", "qa.plant.local:8000", "10.20.0.5", "defects.plant.local:8443", "localhost"):
            assert 421 not in statuses(world, host), host
        assert statuses(world, "plant.local") == {421}


def test_with_keys_any_name_is_answered_to_unless_some_are_listed(settings: Settings, tmp_path: Path) -> None:
    asking = settings.model_copy(update={"require_keys": True})
    with opened(asking, {"X-API-Key": KEY}) as world:
        assert 421 not in statuses(world, "anything.example")
    with opened(asking.model_copy(update={"allowed_hosts": "qa.plant.local"}), {"X-API-Key": KEY}) as world:
        assert statuses(world, "anything.example") == {421}
        assert 421 not in statuses(world, "qa.plant.local") | statuses(world, "127.0.0.1:8000")


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed_hosts": "http://qa.plant.local"},
        {"allowed_hosts": "qa.plant.local:8000"},
        {"public_url": "qa.plant.local"},
        {"public_url": "https://qa.plant.local/defects"},
    ],
)
def test_a_name_that_no_request_could_be_sent_to_is_refused_at_start(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"DEFECTSYNTH_(ALLOWED_HOSTS|PUBLIC_URL)"):
        Settings(**wrong)  # type: ignore[arg-type]
