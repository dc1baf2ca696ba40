import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from defectsynth_client.downloading import Downloading
from defectsynth_client.errors import DownloadDamaged, Unreachable
from tests.fakes.walking import Answer, Walker

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REPR_DIGEST = f"sha-256=:{base64.b64encode(bytes.fromhex(DIGEST)).decode()}:"


class Breaking(httpx.SyncByteStream):
    """A body that breaks off, as a network does."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield self.content
        raise httpx.ReadError("connection reset")


def serving(*breaks_after: int, content: bytes = CONTENT, etag: str | None = '"v1"') -> Callable[..., Answer]:
    """A file that can be had from any byte on; of the first answers only so many bytes arrive."""
    breaks = list(breaks_after)

    def answer(request: httpx.Request) -> Answer:
        start = 0
        if "Range" in request.headers and request.headers["If-Range"] == etag:
            start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return httpx.Response(416, json={})
        headers = {"ETag": etag, "Accept-Ranges": "bytes"} if etag else {}
        headers |= {"Repr-Digest": REPR_DIGEST, "Content-Length": str(len(content) - start)}
        body = content[start:]
        status = 206 if start else 200
        if breaks:
            return httpx.Response(status, headers=headers, stream=Breaking(body[: breaks.pop(0)]))
        return httpx.Response(status, headers=headers, content=body)

    return answer


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    walker, told = Walker(serving(3000, 0, 5000)), list[tuple[int, int | None]]()
    to = tmp_path / "synthetic.zip"
    walker.run(Downloading("/x", to, on_received=lambda here, all_: told.append((here, all_))).plan)
    assert to.read_bytes() == CONTENT
    assert [one.headers.get("Range") for one in walker.requests] == [
        None, "bytes=3000-", "bytes=3000-", "bytes=8000-",
    ]  # fmt: skip
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert parts(tmp_path) == ["synthetic.zip"]


def test_another_run_goes_on_with_what_the_first_one_left(tmp_path: Path) -> None:
    to = tmp_path / "synthetic.zip"
    with pytest.raises(Unreachable):
        Walker(serving(3000, *[0] * 99), total_seconds=5).run(Downloading("/x", to).plan)
    assert parts(tmp_path) == [".synthetic.zip.v1.part"]
    walker = Walker(serving())
    walker.run(Downloading("/x", to).plan)
    assert (to.read_bytes(), walker.requests[0].headers["Range"]) == (CONTENT, "bytes=3000-")


def test_what_has_changed_since_is_fetched_from_the_start(tmp_path: Path) -> None:
    (tmp_path / ".x.zip.v0.part").write_bytes(b"of another version")
    Walker(serving()).run(Downloading("/x", tmp_path / "x.zip").plan)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT
    assert parts(tmp_path) == ["x.zip"]


def test_a_part_that_holds_everything_already_is_fetched_again_rather_than_believed(tmp_path: Path) -> None:
    (tmp_path / ".x.zip.v1.part").write_bytes(CONTENT)
    Walker(serving()).run(Downloading("/x", tmp_path / "x.zip").plan)
    assert (tmp_path / "x.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_bytes_of_another_digest_never_get_the_name(sha256: str | None, tmp_path: Path) -> None:
    content = CONTENT if sha256 else CONTENT[:-1] + b"!"
    (tmp_path / "x.zip").write_bytes(b"what was there before")
    with pytest.raises(DownloadDamaged):
        Walker(serving(content=content)).run(Downloading("/x", tmp_path / "x.zip", sha256).plan)
    assert parts(tmp_path) == ["x.zip"]
    assert (tmp_path / "x.zip").read_bytes() == b"what was there before"


def test_what_has_no_version_begins_anew_and_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    to = tmp_path / "x.zip"
    Walker(serving(3000, etag=None)).run(Downloading("/x", to).plan)
    assert to.read_bytes() == CONTENT
    with pytest.raises(Unreachable):
        Walker(serving(*[0] * 99, etag=None), total_seconds=5).run(Downloading("/x", tmp_path / "y.zip").plan)
    assert parts(tmp_path) == ["x.zip"]
