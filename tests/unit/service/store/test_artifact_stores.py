"""What every artefact store promises: the same tests on a folder and on a real S3 server."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.errors import ArtifactMissing
from service.settings import Settings
from service.store.artifacts import ArtifactStore
from service.store.placement import artifact_store
from tests.fakes.s3_server import S3Server

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
STEEL = hashlib.sha256(b"steel").hexdigest()


@dataclass(frozen=True)
class Kept:
    """A store, how to make it anew, and how to make what is in it look old."""

    store: ArtifactStore
    again: Callable[[], ArtifactStore]
    backdate: Callable[[str, datetime], None]


@pytest.fixture
def local(tmp_path: Path) -> Kept:
    settings = Settings(data_dir=tmp_path)
    store = artifact_store(settings)

    def backdate(sha256: str, at: datetime) -> None:
        os.utime(store.path_of(sha256), (at.timestamp(), at.timestamp()))

    return Kept(store, lambda: artifact_store(settings), backdate)


@pytest.fixture
def remote(s3_settings: Settings, s3_server: S3Server) -> Kept:
    bucket = (s3_settings.artifacts_url or "").split("/")[2]
    return Kept(
        artifact_store(s3_settings),
        lambda: artifact_store(s3_settings.model_copy(update={"data_dir": s3_settings.data_dir / "another machine"})),
        lambda sha256, at: s3_server.backdate(bucket, sha256, at),
    )


@pytest.fixture(params=["local", "remote"])
def kept(request: pytest.FixtureRequest) -> Kept:
    kept: Kept = request.getfixturevalue(request.param)
    return kept


def test_what_is_put_twice_is_one_artefact_named_by_its_content(kept: Kept) -> None:
    first, again = kept.store.put_bytes(b"steel"), kept.store.put_bytes(b"steel")
    assert first == again
    assert (first.sha256, first.size_bytes) == (STEEL, 5)
    assert [sha256 for sha256, _ in kept.store.stored()] == [STEEL]
    assert kept.again().path_of(STEEL).read_bytes() == b"steel"


def test_a_file_is_kept_as_its_bytes_are_and_an_empty_one_too(kept: Kept, tmp_path: Path) -> None:
    for name, data in (("adapter.zip", os.urandom(3_000_000)), ("empty", b"")):
        source = tmp_path / name
        source.write_bytes(data)
        stored = kept.store.put_file(source)
        assert (stored.sha256, stored.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        source.unlink()
        assert kept.again().path_of(stored.sha256).read_bytes() == data


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "A" * 64, "", "0" * 63])
def test_what_is_not_there_is_missing_and_no_name_leads_out_of_the_store(kept: Kept, name: str) -> None:
    with pytest.raises(ArtifactMissing):
        kept.store.path_of(name)


def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(kept: Kept) -> None:
    kept.store.put_bytes(b"steel")
    kept.store.path_of(STEEL)
    for _ in range(2):
        kept.store.delete(STEEL)
    with pytest.raises(ArtifactMissing):
        kept.store.path_of(STEEL)
    assert list(kept.store.stored()) == []


def test_stored_tells_when_each_was_last_put(kept: Kept) -> None:
    old = NOW - 9 * DAY
    kept.store.put_bytes(b"steel")
    kept.backdate(STEEL, old)
    ((name, put_at),) = kept.store.stored()
    assert (name, abs(put_at - old) < timedelta(seconds=2)) == (STEEL, True)
    kept.store.put_bytes(b"steel")
    ((_, put_at),) = kept.store.stored()
    assert abs(put_at - datetime.now(UTC)) < timedelta(seconds=60)


def test_the_sweep_takes_what_is_old_and_spares_what_was_put_since(kept: Kept) -> None:
    kept.store.put_bytes(b"steel")
    assert not kept.store.discard(STEEL, NOW - DAY)
    kept.backdate(STEEL, NOW - 2 * DAY)
    kept.store.put_bytes(b"steel")
    assert not kept.store.discard(STEEL, NOW - DAY)
    assert kept.store.path_of(STEEL).read_bytes() == b"steel"
    kept.backdate(STEEL, NOW - 2 * DAY)
    assert kept.store.discard(STEEL, NOW - DAY)
    assert kept.store.discard(STEEL, NOW - DAY)
    assert list(kept.store.stored()) == []


def test_tidying_takes_nothing_that_is_complete(kept: Kept) -> None:
    kept.store.put_bytes(b"steel")
    kept.backdate(STEEL, NOW - 9 * DAY)
    kept.store.tidy(NOW - DAY)
    assert kept.again().path_of(STEEL).read_bytes() == b"steel"


def test_a_store_that_can_be_written_says_so_and_shows_nothing_of_it(kept: Kept) -> None:
    kept.store.check_writable()
    assert list(kept.store.stored()) == []
