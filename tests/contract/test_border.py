import base64
import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from service.contracts.ids import DatasetId, TenantId, VersionId
from service.main import create_app
from service.settings import Settings
from service.store import datasets
from service.store.pages import encode_cursor
from service.store.sweep import LAST_SWEEP
from service.store.tables import ImageRow, SweepRow, WorkerRow
from tests.contract.conftest import World

KEY = "k" * 32


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/jobs", 405, "method_not_allowed"),
        ("GET", "/v1/jobs/job_0", 404, "not_found"),
        ("GET", "/v1/jobs?limit=0", 422, "invalid_request"),
        ("POST", "/v1/jobs/job_0/cancel", 404, "not_found"),
        ("GET", "/v1/datasets/ds_0", 404, "not_found"),
        ("GET", "/v1/datasets/ds_0/images/img_0", 404, "not_found"),
        ("GET", "/v1/adapters/adp_0/archive", 404, "not_found"),
        ("GET", "/v1/generations/gen_0/images", 404, "not_found"),
        ("GET", "/v1/generations/gen_0/images/pits/0", 404, "not_found"),
        ("GET", "/v1/generations/gen_0/classes/pits/contact-sheet", 404, "not_found"),
        ("GET", "/v1/evaluations/evl_0", 404, "not_found"),
        ("GET", f"/v1/jobs?cursor={encode_cursor('2026-01-01T00:00:00+00:00', chr(0))}", 422, "invalid_cursor"),
    ],
)
def test_every_error_is_a_problem_with_a_code_and_a_remedy(
    world: World, method: str, path: str, status: int, code: str
) -> None:
    answer = world.client.request(method, path)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["title"]
    assert problem["detail"]
    assert problem["remedy"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/v1/jobs/a%00b", "/v1/datasets/%00", "/v1/generations/gen_0/images/%00/0"])
def test_text_that_only_one_database_can_hold_is_no_internal_error(world: World, path: str) -> None:
    answer = world.client.get(path)
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_json_that_cannot_be_read_is_a_422(world: World) -> None:
    headers = {"Content-Type": "application/json"}
    answer = world.client.post("/v1/adaptations", content=b"{", headers=headers)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "invalid_request", "body")
    assert "not JSON" in problem["detail"]
    assert problem["detail"].endswith("at character 1")


def test_json_without_its_content_type_is_told_of_the_header(world: World) -> None:
    answer = world.client.post("/v1/adaptations", content=b'{"dataset_id": "ds_0"}')
    problem = answer.json()
    assert (answer.status_code, problem["field"]) == (422, "body")
    assert "Content-Type: application/json" in problem["remedy"]


def test_something_unexpected_is_a_500_with_an_id_and_without_a_trace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("a secret detail")

    monkeypatch.setattr("service.store.jobs.polled", broken)
    answer = world.client.get("/v1/jobs/job_0", headers={"X-Request-ID": "line-3-request"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"] == "line-3-request"
    assert "secret" not in answer.text


def test_what_belongs_to_another_tenant_is_not_found(world: World) -> None:
    other, at = TenantId("other"), datetime.now(UTC)
    stored = world.artifacts.put_bytes(b"png")
    with world.database.transaction() as session:
        datasets.insert_dataset(session, other, DatasetId("ds_theirs"), "theirs", at)
        image = ImageRow(
            id="img_theirs", tenant_id=other, dataset_id="ds_theirs", class_name="pits", filename="a.png",
            sha256=stored.sha256, pixel_sha256=stored.sha256, size_bytes=3, split="train", width_px=32, height_px=32,
            mode="L", created_at=at,
        )  # fmt: skip
        datasets.insert_images(session, [image])
        datasets.add_version(session, other, VersionId("dsv_theirs"), DatasetId("ds_theirs"), ["img_theirs"], [], at)  # type: ignore[list-item]
    client = world.client
    assert client.get("/v1/datasets").json()["items"] == []
    for path in ("ds_theirs", "ds_theirs/images", "ds_theirs/images/img_theirs"):
        assert client.get(f"/v1/datasets/{path}").status_code == 404
    assert client.delete("/v1/datasets/ds_theirs").status_code == 404
    assert client.post("/v1/adaptations", json={"dataset_id": "ds_theirs"}).status_code == 404
    mine = world.dataset({"pits": 1})["id"]
    assert client.get(f"/v1/datasets/{mine}?version_id=dsv_theirs").status_code == 404
    assert client.get(f"/v1/datasets/{mine}/images/img_theirs").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"X-API-Key": "schlüssel".encode().decode("latin-1")}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"X-API-Key": KEY}, 200),
    ],
)
def test_an_admin_key_is_asked_for_once_it_is_set(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    settings = Settings(data_dir=tmp_path, host="0.0.0.0", admin_key=SecretStr(KEY))
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    with TestClient(create_app(settings, send=lambda kind, job_id: True), base_url="http://127.0.0.1") as client:
        answer = client.get("/v1/jobs", headers=encoded)
        assert client.get("/health/live").status_code == 200
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["code"] == "unauthorized"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_ready_says_what_is_missing(world: World) -> None:
    assert world.client.get("/health/ready").json()["status"] == "degraded"
    with world.database.transaction() as session:
        session.add(WorkerRow(id="w1", device="cpu", rss_bytes=1, seen_at=datetime.now(UTC)))
        session.add(SweepRow(id=LAST_SWEEP, swept_at=datetime.now(UTC)))
    parts = ("database", "files", "broker", "worker", "maintenance")
    assert world.client.get("/health/ready").json() == {
        "status": "ready",
        "checks": dict.fromkeys(parts, "ok"),
        "remedies": {},
    }
    (world.app.state.parts.settings.artifacts_dir / "incoming").rmdir()
    answer = world.client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["files"]) == (503, "failed")


def test_the_schema_is_openapi_3_1_and_documents_problems_on_every_route(world: World) -> None:
    document = world.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "Problem" in document["components"]["schemas"]
    operations = [
        operation
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if path.startswith("/v1")
    ]
    assert len(operations) >= 25
    for operation in operations:
        assert "application/problem+json" in operation["responses"]["422"]["content"]
        assert operation["description"]


def test_every_schema_that_is_referred_to_is_there(world: World) -> None:
    text = world.client.get("/openapi.json").text
    names = world.client.get("/openapi.json").json()["components"]["schemas"]
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= set(names)


def test_the_reference_runs_no_script_but_its_own(world: World) -> None:
    page = world.client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    [scripts] = [one for one in policy.split("; ") if one.startswith("script-src")]
    [inline] = re.findall(r"<script>(.*?)</script>", page.text, re.S)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert scripts == f"script-src 'self' 'sha256-{digest}'"


def test_the_reference_loads_nothing_from_another_host(world: World) -> None:
    page = world.client.get("/docs").text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']|url: '([^']+)'""", page)
    paths = [one or other for one, other in loaded]
    assert len(paths) == 4
    for path in paths:
        assert path.startswith("/")
        assert world.client.get(path).status_code == 200
