import base64
import io
from pathlib import Path

from PIL import Image

from service.reports.thumbnails import StoredPictures, data_uri
from service.store.artifacts import LocalArtifacts
from tests.fakes.pictures import png


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))


def test_a_picture_is_made_smaller_with_its_proportions_and_never_larger() -> None:
    assert opened(data_uri(Image.new("RGB", (800, 400)), 200)).size == (200, 100)
    assert opened(data_uri(Image.new("L", (1000, 2)), 200)).size == (200, 1)
    small = opened(data_uri(Image.new("L", (64, 32)), 200))
    assert (small.size, small.mode) == ((64, 32), "L")


def test_what_is_gone_or_no_picture_is_none_and_a_page_has_so_many_at_most(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path)
    digests = [artifacts.put_bytes(png(seed)).sha256 for seed in range(3)]
    text = artifacts.put_bytes(b"no picture").sha256
    assert StoredPictures(artifacts.path_of)(text, 200) is None
    assert StoredPictures(artifacts.path_of)("0" * 64, 200) is None
    pictures = StoredPictures(artifacts.path_of, limit=2)
    shown = [pictures(digest, 200) for digest in [*digests, digests[0]]]
    assert [one is None for one in shown] == [False, False, True, False]
