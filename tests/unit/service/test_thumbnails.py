import io
from pathlib import Path

import pytest
from PIL import Image

from service.errors import ArtifactDamaged, ArtifactMissing
from service.store.artifacts import LocalArtifacts
from service.thumbnails import Thumbnails, ThumbnailSize, jpeg_of
from tests.fakes.pictures import noise, png


class Reads:
    """The store's paths, and how often each was asked for."""

    def __init__(self, artifacts: LocalArtifacts) -> None:
        self._artifacts = artifacts
        self.asked: list[str] = []

    def __call__(self, sha256: str) -> Path:
        self.asked.append(sha256)
        return self._artifacts.path_of(sha256)


@pytest.fixture
def artifacts(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path)


def test_what_was_made_is_remembered_until_the_least_used_must_make_room(artifacts: LocalArtifacts) -> None:
    first, second, third = (artifacts.put_bytes(png(seed)).sha256 for seed in range(3))
    reads = Reads(artifacts)
    size_bytes = max(len(jpeg_of(noise(seed), 64)) for seed in range(3))
    thumbnails = Thumbnails(reads, max_bytes=2 * size_bytes)
    for sha256 in (first, second, first, third, first, second):
        thumbnails(sha256, ThumbnailSize.TINY)
    assert reads.asked == [first, second, third, second]
    nothing_remembered = Thumbnails(reads, max_bytes=0)
    assert nothing_remembered(first, ThumbnailSize.TINY) == nothing_remembered(first, ThumbnailSize.TINY)


def test_sizes_are_remembered_apart_and_the_longest_side_counts(artifacts: LocalArtifacts) -> None:
    sha256 = artifacts.put_bytes(png(1, (100, 300), "RGB")).sha256
    thumbnails = Thumbnails(artifacts.path_of, max_bytes=10**6)
    sizes = [Image.open(io.BytesIO(thumbnails(sha256, size))).size for size in ThumbnailSize]
    assert sizes == [(21, 64), (43, 128), (85, 256), (100, 300)]


def test_bytes_that_are_gone_or_no_picture_are_told_apart(artifacts: LocalArtifacts) -> None:
    thumbnails = Thumbnails(artifacts.path_of, max_bytes=10**6)
    with pytest.raises(ArtifactDamaged):
        thumbnails(artifacts.put_bytes(b"no picture").sha256, ThumbnailSize.SMALL)
    with pytest.raises(ArtifactMissing):
        thumbnails("0" * 64, ThumbnailSize.SMALL)
