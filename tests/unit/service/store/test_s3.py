"""What only the S3 store does: copies of its own, checksums, errors of a server, and addresses that need no key."""

import base64
import hashlib
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.errors import ArtifactMissing, StorageUnavailable
from service.settings import Settings
from service.store import s3
from service.store.artifact_cache import ArtifactCache
from service.store.placement import artifact_store
from service.store.s3 import S3Artifacts
from service.store.s3_bucket import Bucket
from tests.fakes.s3_server import S3Server

STEEL = hashlib.sha256(b"steel").hexdigest()
DAY = timedelta(days=1)


def bucket_of(settings: Settings) -> str:
    return (settings.artifacts_url or "").split("/")[2]


def objects(server: S3Server, settings: Settings) -> list[str]:
    return [key for key in server.keys(bucket_of(settings)) if "/objects/" in key]


class PutMeanwhile(Bucket):
    """A bucket in which somebody puts the same bytes again between the sweep's look and its deletion."""

    again: S3Artifacts

    def delete(self, keys: list[str]) -> None:
        self.again.put_bytes(b"steel")
        super().delete(keys)


def test_what_is_put_while_the_sweep_deletes_it_stays(s3_settings: Settings, s3_server: S3Server) -> None:
    store = artifact_store(s3_settings)
    store.put_bytes(b"steel")
    s3_server.backdate(bucket_of(s3_settings), STEEL, datetime.now(UTC) - 2 * DAY)
    racing = PutMeanwhile(bucket_of(s3_settings), s3_settings.s3_endpoint_url, s3_settings.s3_region)
    racing.again = store  # type: ignore[assignment]
    cache = ArtifactCache(s3_settings.data_dir / "sweep", 1000)
    S3Artifacts(racing, "plant-1/", cache).discard(STEEL, datetime.now(UTC) - DAY)
    assert len(objects(s3_server, s3_settings)) == 1
    assert store.path_of(STEEL).read_bytes() == b"steel"


def test_of_several_copies_the_newest_is_kept_once_it_is_old_too(s3_settings: Settings, s3_server: S3Server) -> None:
    store = artifact_store(s3_settings)
    for age in (3, 2):
        store.put_bytes(b"steel")
        for key in objects(s3_server, s3_settings)[age - 3 :]:
            s3_server.backdate(bucket_of(s3_settings), key, datetime.now(UTC) - age * DAY)
    store.put_bytes(b"steel")
    store.tidy(datetime.now(UTC) - DAY)
    assert len(objects(s3_server, s3_settings)) == 3
    s3_server.backdate(bucket_of(s3_settings), STEEL, datetime.now(UTC) - 2 * DAY)
    store.tidy(datetime.now(UTC) - DAY)
    assert len(objects(s3_server, s3_settings)) == 1


def test_a_large_file_goes_in_parts_and_unfinished_parts_are_given_back(
    s3_settings: Settings, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "SINGLE_REQUEST_BYTES", 2**20)
    store, source = artifact_store(s3_settings), tmp_path / "large"
    source.write_bytes(bytes(range(256)) * (17 * 2**12))
    digest = store.put_file(source).sha256
    (key,) = objects(s3_server, s3_settings)
    head = s3_server.client().head_object(Bucket=bucket_of(s3_settings), Key=key)
    assert head["ETag"].strip('"').endswith("-2")
    assert store.path_of(digest).read_bytes() == source.read_bytes()
    begun = {"Bucket": bucket_of(s3_settings), "Key": f"plant-1/objects/{digest}/begun"}
    s3_server.client().create_multipart_upload(**begun)
    store.tidy(datetime.now(UTC) + DAY)
    left = s3_server.client().list_multipart_uploads(Bucket=bucket_of(s3_settings))
    assert left.get("Uploads", []) == []


def test_the_server_is_given_the_digest_to_compare_with(s3_settings: Settings) -> None:
    """moto does not compare; what it was sent is seen on its way."""
    bucket, sent = Bucket(bucket_of(s3_settings), s3_settings.s3_endpoint_url, s3_settings.s3_region), []
    bucket._client.meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.append(request.headers))
    S3Artifacts(bucket, "", ArtifactCache(s3_settings.data_dir / "cache", 1000)).put_bytes(b"steel")
    (headers,) = sent
    told = headers["x-amz-checksum-sha256"]
    assert base64.b64decode(told).hex() == STEEL


def test_bytes_that_changed_in_the_bucket_are_never_handed_out(s3_settings: Settings, s3_server: S3Server) -> None:
    store = artifact_store(s3_settings)
    store.put_bytes(b"steel")
    (key,) = objects(s3_server, s3_settings)
    s3_server.client().put_object(Bucket=bucket_of(s3_settings), Key=key, Body=b"rusty")
    with pytest.raises(ArtifactMissing) as caught:
        store.path_of(STEEL)
    assert caught.value.code == "artifact_damaged"
    assert [path for path in s3_settings.artifact_cache_dir.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("changes", [{"s3_endpoint_url": "http://127.0.0.1:1"}, {"artifacts_url": "s3://nobodys"}])
def test_a_server_that_is_away_or_refuses_is_a_503_that_names_no_address(
    s3_settings: Settings, changes: dict[str, str]
) -> None:
    store = artifact_store(s3_settings.model_copy(update=changes))
    calls = (
        lambda: store.put_bytes(b"steel"), lambda: store.path_of(STEEL), lambda: list(store.stored()),
        store.check_writable,
    )  # fmt: skip
    for call in calls:
        with pytest.raises(StorageUnavailable) as caught:
            call()
        assert caught.value.status == 503
        assert "127.0.0.1" not in caught.value.detail and "nobodys" not in caught.value.detail


def test_what_is_on_this_machine_is_read_while_the_server_is_away(s3_settings: Settings) -> None:
    store = artifact_store(s3_settings)
    store.put_bytes(b"steel")
    store.path_of(STEEL)
    away = artifact_store(s3_settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}))
    assert away.path_of(STEEL).read_bytes() == b"steel"


def test_addresses_are_given_out_only_if_the_operator_says_so(s3_settings: Settings) -> None:
    assert artifact_store(s3_settings).download_url(STEEL, "image/png", None) is None
    store = artifact_store(s3_settings.model_copy(update={"presigned_download_seconds": 60}))
    with pytest.raises(ArtifactMissing):
        store.download_url(STEEL, "image/png", None)
    store.put_bytes(b"steel")
    url = store.download_url(STEEL, "application/zip", "Pits ö.zip")
    assert url is not None and "X-Amz-Expires=60" in url
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"steel"
        assert answer.headers["Content-Type"] == "application/zip"
        assert "Pits%20%C3%B6.zip" in answer.headers["Content-Disposition"]


def test_without_an_s3_client_the_setting_names_what_to_install(
    s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "service.store.s3_bucket", None)
    with pytest.raises(ValueError, match=r"pip install '\.\[s3\]'"):
        artifact_store(s3_settings)
