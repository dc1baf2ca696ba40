import hashlib
import threading

import pytest

from service.contracts.ids import Sha256
from service.errors import StorageFull
from service.intake_storing import Storing
from service.store.artifacts import StoredArtifact

PATIENCE_SECONDS = 20.0


def stored(data: bytes) -> StoredArtifact:
    return StoredArtifact(Sha256(hashlib.sha256(data).hexdigest()), len(data))


def test_files_are_put_while_others_are_and_each_is_told_of_its_own() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def put(data: bytes) -> StoredArtifact:
        both.wait()  # breaks where none is put beside it
        return stored(data)

    with Storing(put) as storing:
        promised = {data: storing.put(data) for data in (b"one", b"two")}
    assert {data: one.result() for data, one in promised.items()} == {data: stored(data) for data in promised}


def test_a_file_too_large_to_wait_is_put_before_the_next_picture_is_decoded() -> None:
    done: list[int] = []

    def put(data: bytes) -> StoredArtifact:
        done.append(len(data))
        return stored(data)

    with Storing(put) as storing:
        for _ in range(3):
            assert storing.put(bytes(2**23 + 1)).done()
    assert done == 3 * [2**23 + 1]


def test_a_full_disk_ends_the_upload_and_what_waits_is_not_put() -> None:
    tried: list[bytes] = []

    def put(data: bytes) -> StoredArtifact:
        tried.append(data)
        raise StorageFull("the disk that holds the artefacts is full")

    def send(number: int) -> None:
        with Storing(put) as storing:
            for one in range(number):
                storing.put(b"%d" % one)

    with pytest.raises(StorageFull):
        send(1_000)
    assert len(tried) < 100
