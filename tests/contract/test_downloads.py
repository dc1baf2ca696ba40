"""Stored bytes over HTTP: content hash, ranges, redirects to S3, and a store that is away."""

import hashlib
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from service.main import create_app
from service.settings import Settings
from tests.contract.conftest import Sender
from tests.fakes.pictures import png


@pytest.fixture(params=["folder", "s3"])
def client(request: pytest.FixtureRequest, settings: Settings) -> Iterator[TestClient]:
    if request.param == "s3":
        given: Settings = request.getfixturevalue("s3_settings")
        settings = settings.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})
    with TestClient(
        create_app(settings, send=Sender()), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        yield client


def uploaded(client: TestClient) -> str:
    """The path of one real image."""
    answer = client.post("/v1/datasets", files=[("images", ("pits/0.png", png(7)))])
    assert answer.status_code == 201, answer.text
    images = client.get(f"/v1/datasets/{answer.json()['id']}/images").json()["items"]
    return str(images[0]["links"]["content"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_bytes_have_the_digest_as_etag_and_are_served_in_ranges(client: TestClient) -> None:
    path = uploaded(client)
    whole = client.get(path)
    assert whole.headers["ETag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert whole.headers["Content-Type"] == "image/png"
    fresh = client.get(path, headers={"If-None-Match": whole.headers["ETag"]})
    assert (fresh.status_code, fresh.content) == (304, b"")
    for asked, first, last in (("bytes=2-5", 2, 5), ("bytes=-4", len(whole.content) - 4, len(whole.content) - 1)):
        part = client.get(path, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, whole.content[first : last + 1])
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole.content)}"
    resumed = {"Range": "bytes=2-5", "If-Range": whole.headers["ETag"]}
    assert client.get(path, headers=resumed).status_code == 206
    assert client.get(path, headers={**resumed, "If-Range": '"other"'}).content == whole.content
    assert client.get(path, headers={"Range": f"bytes={10**9}-"}).status_code == 416


def test_a_download_may_be_redirected_to_an_address_that_needs_no_key(s3_settings: Settings) -> None:
    settings = s3_settings.model_copy(update={"presigned_download_seconds": 30})
    with TestClient(create_app(settings, send=Sender()), base_url="http://127.0.0.1") as client:
        path = uploaded(client)
        answer = client.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (307, "no-store")
        digest = answer.headers["ETag"].strip('"')
        assert client.get(path, headers={"If-None-Match": f'"{digest}"'}, follow_redirects=False).status_code == 304
    import httpx

    given = httpx.get(answer.headers["Location"])
    assert hashlib.sha256(given.content).hexdigest() == digest
    assert given.headers["Content-Type"] == "image/png"


def test_a_store_that_is_away_is_a_503_to_be_tried_again(s3_settings: Settings) -> None:
    away = s3_settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    with TestClient(create_app(away, send=Sender()), base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/datasets", files=[("images", ("pits/0.png", png(7)))])
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert answer.headers["Retry-After"] == "10"
        assert client.get("/health/ready").json()["checks"]["files"] == "failed"
