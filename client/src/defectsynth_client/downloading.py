"""Downloads to a file: resumed where they broke off, checked, and under their name only when they are whole."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

from defectsynth_client.calling import at
from defectsynth_client.drivers import Core
from defectsynth_client.errors import ApiError, DownloadDamaged, Unreachable
from defectsynth_client.models import Adaptation, Adapter, Generation, Recognition
from defectsynth_client.retrying import answered
from defectsynth_client.steps import Plan, Request, Stream

#: Told of the bytes that are here, and of all that there will be where the service says so.
Received = Callable[[int, int | None], None]
_STRONG_ETAG = re.compile(r'"([A-Za-z0-9._-]{1,128})"')
_SHA256 = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):")
_RANGE_UNSATISFIABLE = 416
_NO_ETAG = "whole"


class PartialFile:
    """The file while it comes in, hidden beside its place. Its name bears the ETag that it can be gone on with."""

    def __init__(self, to: Path, on_received: Received | None = None) -> None:
        self._to = to
        self._on_received = on_received
        self._stream: IO[bytes] | None = None
        self._num_all: int | None = None
        self.path, self._etag = self._left_behind()
        self.num_bytes = self.path.stat().st_size if self._etag is not None else 0

    def headers(self) -> Mapping[str, str]:
        """Asks for the rest of what is here already; without compression, so that bytes can be counted."""
        rest = {"Range": f"bytes={self.num_bytes}-", "If-Range": self._etag} if self._etag and self.num_bytes else {}
        return {"Accept": "*/*", "Accept-Encoding": "identity", **rest}

    def begin(self, answer: httpx.Response) -> bool:
        """Take up the rest, or begin anew where the service gives all of it."""
        self.close()
        length = answer.headers.get("Content-Length", "")
        if answer.status_code == httpx.codes.PARTIAL_CONTENT:
            self._stream = self.path.open("r+b")
            self._stream.truncate(self.num_bytes)
            self._stream.seek(self.num_bytes)
        else:
            self.forget()
            self._etag = _strong_etag(answer)
            self.path = self._part(self._etag)
            self._stream = self.path.open("wb")
        self._num_all = self.num_bytes + int(length) if length.isdecimal() else None
        return True

    def take(self, piece: bytes) -> bool:
        """Write it."""
        assert self._stream is not None, "begin comes first"
        self._stream.write(piece)
        self.num_bytes += len(piece)
        if self._on_received is not None:
            self._on_received(self.num_bytes, self._num_all)
        return True

    def finish(self, sha256: str | None) -> None:
        """Give it its name. Raises ``DownloadDamaged``, and keeps nothing, where its digest is not ``sha256``."""
        self.close()
        if sha256 is not None and _digest(self.path) != sha256:
            self.forget()
            raise DownloadDamaged(f"what came for {self._to} does not have the announced SHA-256; download it again")
        self.path.replace(self._to)

    def forget(self) -> None:
        """Begin anew."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.num_bytes, self._etag = 0, None

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def leave(self) -> None:
        """Close it; what could not be gone on with later is removed."""
        self.close()
        if self._etag is None:
            self.path.unlink(missing_ok=True)

    def _part(self, etag: str | None) -> Path:
        token = etag.strip('"') if etag is not None else _NO_ETAG
        return self._to.with_name(f".{self._to.name}.{token}.part")

    def _left_behind(self) -> tuple[Path, str | None]:
        """What an earlier download of the same file left, and its ETag."""
        prefix, suffix = f".{self._to.name}.", ".part"
        for path in self._to.parent.iterdir():
            etag = f'"{path.name.removeprefix(prefix).removesuffix(suffix)}"'
            is_part = path.name.startswith(prefix) and path.name.endswith(suffix)
            if is_part and path != self._part(None) and _STRONG_ETAG.fullmatch(etag):
                return path, etag
        return self._part(None), None


@dataclass(frozen=True)
class Downloading:
    """One download. ``sha256``: what the bytes must have, where the caller knows it."""

    path: str
    to: Path
    sha256: str | None = None
    on_received: Received | None = None
    params: Mapping[str, str] = field(default_factory=dict)

    def plan(self, core: Core) -> Plan[Path]:
        """Fetch it. As long as bytes come, it is gone on with; raises ``Unreachable`` when none come any more."""
        part = PartialFile(self.to, self.on_received)
        step = Stream(Request("GET", self.path, params=self.params), part)
        try:
            while True:
                num_before = part.num_bytes
                try:
                    answer = yield from answered(step, core.retries)
                    break
                except Unreachable:
                    if part.num_bytes == num_before:
                        raise
                except ApiError as error:
                    if error.status != _RANGE_UNSATISFIABLE or not num_before:
                        raise
                    part.forget()
            part.finish(self.sha256 or _announced_sha256(answer))
        finally:
            part.leave()
        return self.to


def download(
    path: str, to: str | Path, *, sha256: str | None = None, on_received: Received | None = None
) -> Downloading:
    """Write what a link names to a file, in pieces; the file is there when it is whole, and only then."""
    return Downloading(path, Path(to), sha256, on_received)


def download_archive(
    generation_id: str,
    to: str | Path,
    *,
    layout: str | None = None,
    include_real: bool = False,
    include_rejected: bool = False,
    normal_class: str | None = None,
    on_received: Received | None = None,
) -> Downloading:
    """Write a generation's images to a zip with ``manifest.json``.

    ``layout``: imagefolder (a folder a class) unless another is named: coco, anomalib or huggingface. ``include_real``:
    the real train images, too; ``normal_class``: of anomalib, the data set's class without a defect.
    """
    told = {
        "format": layout, "include_real": "true" if include_real else None,
        "include_rejected": "true" if include_rejected else None, "normal_class": normal_class,
    }  # fmt: skip
    params = {name: value for name, value in told.items() if value is not None}
    return Downloading(at("generations", generation_id, "archive"), Path(to), None, on_received, params)


def download_adapter(adapter: Adapter, to: str | Path, *, on_received: Received | None = None) -> Downloading:
    """Write an adapter to a zip, which opens in stock diffusers."""
    return Downloading(at("adapters", adapter.id, "archive"), Path(to), adapter.archive_sha256, on_received)


def download_report(work: Adaptation | Generation | Recognition, to: str | Path) -> Downloading:
    """Write a report: one self-contained page where the file's name ends in .html, a table where it ends in .csv."""
    link = f"report_{Path(to).suffix.lower().removeprefix('.')}"
    if link not in work.links:
        offered = sorted(name.removeprefix("report_") for name in work.links if name.startswith("report_"))
        raise ValueError(f"{to}: the report of {work.id} can be had as {' or '.join(f'.{one}' for one in offered)}")
    return Downloading(work.links[link], Path(to))


def download_contact_sheet(generation_id: str, class_name: str, to: str | Path) -> Downloading:
    """Write a class's contact sheet to a PNG: real images above synthetic ones."""
    return Downloading(at("generations", generation_id, "classes", class_name, "contact-sheet"), Path(to))


def _strong_etag(answer: httpx.Response) -> str | None:
    """Where ranges can be asked for by it."""
    told = answer.headers.get("ETag", "")
    takes_ranges = answer.headers.get("Accept-Ranges", "").lower() == "bytes"
    return told if takes_ranges and _STRONG_ETAG.fullmatch(told) else None


def _announced_sha256(answer: httpx.Response) -> str | None:
    """From ``Repr-Digest`` (RFC 9530), also where the service has sent the client on to another address."""
    for one in (answer, *reversed(answer.history)):
        found = _SHA256.search(one.headers.get("Repr-Digest", ""))
        if found is not None:
            return base64.b64decode(found[1]).hex()
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
