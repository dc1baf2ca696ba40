"""Uploads: a folder, a zip, or images in memory become one multipart body that is streamed from disk."""

import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, cast

from defectsynth_client.calling import Reading, at, keyed
from defectsynth_client.drivers import Core
from defectsynth_client.models import Receipt
from defectsynth_client.retrying import answered
from defectsynth_client.steps import File, Form, Plan, Request, Send

#: Told of the bytes sent so far and of all that there are.
Sent = Callable[[int, int], None]
#: Uploads are decoded before they are answered.
_READ_SECONDS = 3600.0
_DEPTHS = ("*", "*/*", "*/*/*", "*/*/*/*")


@dataclass(frozen=True)
class NewImage:
    """One image to upload. ``group``: its coil, strip or part, which never straddles splits."""

    class_name: str
    content: bytes | Path = field(repr=False)
    filename: str = ""
    split: str = ""
    group: str = ""


#: A folder (one sub-folder a class, or split/class), a zip of that layout as file or bytes, or single images.
Source = str | Path | bytes | Sequence[NewImage]


@dataclass(frozen=True)
class Uploading:
    """One upload."""

    method: str
    path: str
    source: Source
    fields: Mapping[str, str | list[str]]
    on_sent: Sent | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def plan(self, core: Core) -> Plan[Receipt]:
        """Pack what must be packed, and send it. Raises ``ValueError`` for a source with nothing in it."""
        with ExitStack() as opened:
            files, lists = _parts(self.source, opened, self.on_sent)
            form = Form({**self.fields, **lists}, files)
            request = Request(self.method, self.path, form=form, headers=self.headers, read_seconds=_READ_SECONDS)
            answer = yield from answered(Send(keyed(request, core)), core.retries)
        return Reading(Receipt)(answer)


def upload(
    source: Source, name: str = "", *, on_sent: Sent | None = None, idempotency_key: str | None = None
) -> Uploading:
    """Upload images as a new dataset. Good images are kept; ``refused`` of what is returned names each other file.

    ``source``: a folder or a zip with one folder a class (or split/class), or a list of ``NewImage``.
    """
    named = name or (Path(source).resolve().stem if isinstance(source, str | Path) else "dataset")
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
    return Uploading("POST", "/v1/datasets", source, {"name": named[:200]}, on_sent, headers)


def replace_images(dataset_id: str, class_name: str, images: Sequence[NewImage]) -> Uploading:
    """Make a new version of a dataset in which the class holds exactly these images."""
    path = at("datasets", dataset_id, "classes", class_name, "images")
    return Uploading("PUT", path, [replace(one, class_name="") for one in images], {})


def _parts(
    source: Source, opened: ExitStack, on_sent: Sent | None
) -> tuple[list[tuple[str, File]], dict[str, str | list[str]]]:
    if isinstance(source, bytes):
        return [("archive", ("images.zip", source, "application/zip"))], {}
    if isinstance(source, str | Path):
        path = Path(source)
        archive = opened.enter_context(_packed(path) if path.is_dir() else path.open("rb"))
        return [("archive", ("images.zip", _counted(archive, on_sent), "application/zip"))], {}
    if not source:
        raise ValueError("there is no image to upload")
    files = [_file(one, number, opened) for number, one in enumerate(source)]
    told = {
        "classes": [one.class_name for one in source],
        "splits": [one.split for one in source],
        "groups": [one.group for one in source],
    }
    return files, {name: values for name, values in told.items() if any(values)}


def _file(image: NewImage, number: int, opened: ExitStack) -> tuple[str, File]:
    if isinstance(image.content, bytes):
        return "images", (image.filename or f"{number:06d}.png", image.content, "application/octet-stream")
    stream = opened.enter_context(image.content.open("rb"))
    return "images", (image.filename or image.content.name, stream, "application/octet-stream")


def _packed(folder: Path) -> IO[bytes]:
    """A temporary zip of what is in the folder, stored as it is. Hidden files stay out; what else does not belong goes
    in, and so do classes without a file, so that the service names them. Raises ``ValueError`` where there is nothing.
    """
    found = sorted(path for depth in _DEPTHS for path in folder.glob(depth) if not _is_hidden(path, folder))
    files = [path for path in found if path.is_file()]
    if all(path.parent == folder for path in files):
        raise ValueError(f"{folder} has no sub-folder with files: put the images of each class in a folder of its own")
    empty = [path for path in found if path.parent == folder and path.is_dir() and not any(path.iterdir())]
    packed = tempfile.TemporaryFile(prefix="defectsynth-")  # noqa: SIM115  whoever sends it closes it
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in [*files, *empty]:
            archive.write(path, path.relative_to(folder))
    return packed


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _counted(stream: IO[bytes], on_sent: Sent | None) -> IO[bytes]:
    return cast(IO[bytes], _Counted(stream, on_sent)) if on_sent is not None else stream


class _Counted:
    """A file that tells how much of it has been read, as far as an upload needs one."""

    def __init__(self, stream: IO[bytes], on_sent: Sent) -> None:
        self._stream = stream
        self._on_sent = on_sent
        self._num_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(0)

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self._on_sent(self._stream.tell(), self._num_bytes)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()
