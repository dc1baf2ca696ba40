import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from service.contracts.ids import Sha256
from service.store.artifact_cache import ArtifactCache


def named(number: int) -> tuple[Sha256, bytes]:
    data = bytes([number]) * 100
    return Sha256(hashlib.sha256(data).hexdigest()), data


def add(cache: ArtifactCache, number: int, used_seconds_ago: float = 0.0) -> Path:
    name, data = named(number)
    path = cache.add(name, [data[:40], data[40:]])
    os.utime(path, (0, time.time() - used_seconds_ago))
    return path


def test_the_least_recently_used_copies_go_and_what_is_in_use_stays(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, max_bytes=350)
    old = [add(cache, number, used_seconds_ago=1000 - number) for number in range(3)]
    assert cache.find(named(0)[0]) == old[0]  # used now
    for number in (3, 4, 5):
        add(cache, number)
    assert [path.exists() for path in old] == [True, False, False]
    assert all(cache.find(named(number)[0]) for number in (3, 4, 5))  # beyond the bound, for they are in use


def test_a_download_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    def cut_off() -> "list[bytes]":
        raise ConnectionError

    cache = ArtifactCache(tmp_path, max_bytes=1000)
    with pytest.raises(ConnectionError):
        cache.add(named(0)[0], (chunk for chunk in cut_off()))
    assert cache.find(named(0)[0]) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_caches_of_one_folder_serve_whole_copies_to_many_at_once(tmp_path: Path) -> None:
    wrong: list[int] = []

    def use() -> None:
        cache = ArtifactCache(tmp_path, max_bytes=500)
        for number in [*range(20)] * 3:
            name, data = named(number)
            path = cache.find(name) or cache.add(name, [data])
            if path.read_bytes() != data:
                wrong.append(number)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
