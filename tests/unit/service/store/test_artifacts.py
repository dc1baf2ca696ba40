import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.errors import ArtifactMissing, StorageFull
from service.store.artifacts import LocalArtifacts


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_are_named_by_their_digest_and_kept_once(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    first, again = store.put_bytes(b"steel"), store.put_bytes(b"steel")
    digest = hashlib.sha256(b"steel").hexdigest()
    assert first == again
    assert (first.sha256, first.size_bytes) == (digest, 5)
    assert files_in(tmp_path) == [tmp_path / digest[:2] / digest[2:4] / digest]
    assert store.path_of(digest).read_bytes() == b"steel"
    assert [name for name, _ in store.stored()] == [digest]


def test_a_file_is_copied_and_stays_where_it_was(tmp_path: Path) -> None:
    source = tmp_path / "adapter.zip"
    source.write_bytes(b"weights")
    stored = LocalArtifacts(tmp_path / "store").put_file(source)
    assert (tmp_path / "store" / stored.sha256[:2] / stored.sha256[2:4] / stored.sha256).read_bytes() == b"weights"
    assert source.exists()


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "", "A" * 64])
def test_unknown_names_are_missing_whatever_they_look_like(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactMissing):
        LocalArtifacts(tmp_path).path_of(name)


def test_what_is_deleted_is_missing_and_deleting_again_is_no_error(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    digest = store.put_bytes(b"x").sha256
    store.delete(digest)
    store.delete(digest)
    with pytest.raises(ArtifactMissing):
        store.path_of(digest)


def test_bytes_put_again_are_not_discarded_and_forgotten_ones_are(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    cutoff = datetime.now(UTC) - timedelta(hours=1)
    digest = store.put_bytes(b"x").sha256
    os.utime(store.path_of(digest), (1, 1))
    store.put_bytes(b"x")
    assert not store.discard(digest, cutoff)
    assert store.path_of(digest).read_bytes() == b"x"
    os.utime(store.path_of(digest), (1, 1))
    assert store.discard(digest, cutoff)
    assert store.discard(digest, cutoff)
    assert files_in(tmp_path) == []


def test_what_a_killed_write_left_is_tidied_away_and_a_write_under_way_is_not(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    for name in ("left", "under_way"):
        (tmp_path / "incoming" / name).write_bytes(b"half")
    os.utime(tmp_path / "incoming" / "left", (1, 1))
    store.tidy(datetime.now(UTC) - timedelta(hours=1))
    assert [path.name for path in files_in(tmp_path)] == ["under_way"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def no_room(*arguments: object) -> None:
        raise OSError(28, os.strerror(28))

    store = LocalArtifacts(tmp_path)
    monkeypatch.setattr("service.store.artifacts.os.fsync" if call == "fsync" else "pathlib.Path.replace", no_room)
    with pytest.raises(StorageFull) as caught:
        store.put_bytes(b"steel")
    assert (caught.value.status, caught.value.code) == (507, "storage_full")
    assert files_in(tmp_path) == []


def test_what_is_put_again_counts_as_new_for_the_sweep(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path)
    digest = store.put_bytes(b"x").sha256
    os.utime(store.path_of(digest), (0, 0))
    store.put_bytes(b"x")
    assert [at.year for _, at in store.stored()] != [1970]
