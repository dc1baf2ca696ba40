"""Artefacts: bytes named by their SHA-256. What is stored is complete, or not there at all."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from service.contracts.ids import Sha256
from service.errors import ArtifactMissing, StorageFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class StoredArtifact:
    """The name and size of stored bytes."""

    sha256: Sha256
    size_bytes: int


class ArtifactStore(Protocol):
    """Where bytes are kept. ``StorageFull`` is raised by ``put_*``, ``ArtifactMissing`` by ``path_of``."""

    def put_bytes(self, data: bytes) -> StoredArtifact:
        """Keep ``data``; keeping the same twice is one artefact."""
        ...

    def put_file(self, path: Path) -> StoredArtifact:
        """Keep a copy of a file."""
        ...

    def path_of(self, sha256: str) -> Path:
        """A local file with the bytes, to be read only."""
        ...

    def download_url(self, sha256: str, media_type: str, filename: str | None) -> str | None:
        """An address that gives the bytes without this service, for a short while; None where there is none."""
        ...

    def delete(self, sha256: str) -> None:
        """Forget the bytes; unknown ones are no error."""
        ...

    def stored(self) -> Iterator[tuple[Sha256, datetime]]:
        """Every artefact with the time it was last put, for the sweep of orphans."""
        ...

    def discard(self, sha256: str, put_before: datetime) -> bool:
        """Forget the bytes unless they were put since; whether they are gone now. Safe beside a ``put_*``."""
        ...

    def tidy(self, written_before: datetime) -> None:
        """Remove what a write that was killed left behind."""
        ...

    def check_writable(self) -> None:
        """Raise ``OSError`` or ``StorageFull`` where nothing could be kept."""
        ...


class LocalArtifacts:
    """A folder: ``ab/cd/abcd…``. A new file is written aside, synced and renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def put_bytes(self, data: bytes) -> StoredArtifact:
        """Keep ``data``. Raises ``StorageFull``."""
        sha256 = Sha256(hashlib.sha256(data).hexdigest())
        if not self._touch(sha256):
            with self._written_aside() as (stream, temporary):
                stream.write(data)
                self._publish(stream, temporary, sha256)
        return StoredArtifact(sha256, len(data))

    def put_file(self, path: Path) -> StoredArtifact:
        """Keep a copy of the file. Raises ``StorageFull``."""
        with path.open("rb") as source:
            sha256 = Sha256(hashlib.file_digest(source, "sha256").hexdigest())
            if not self._touch(sha256):
                source.seek(0)
                with self._written_aside() as (stream, temporary):
                    shutil.copyfileobj(source, stream, 2**20)
                    self._publish(stream, temporary, sha256)
        return StoredArtifact(sha256, path.stat().st_size)

    def path_of(self, sha256: str) -> Path:
        """The file, to be read only. Raises ``ArtifactMissing``."""
        path = self._path(sha256)
        if not path.is_file():
            raise ArtifactMissing(f"the bytes {sha256} are not in the store")
        return path

    def download_url(self, sha256: str, media_type: str, filename: str | None) -> str | None:
        """None: a folder has no address."""
        return None

    def delete(self, sha256: str) -> None:
        """Forget the bytes; unknown ones are no error."""
        self._path(sha256).unlink(missing_ok=True)

    def stored(self) -> Iterator[tuple[Sha256, datetime]]:
        """Every artefact with the time it was last put."""
        for path in self._root.glob("??/??/*"):
            try:
                modified = path.stat().st_mtime
            except FileNotFoundError:
                continue
            yield Sha256(path.name), datetime.fromtimestamp(modified, UTC)

    def discard(self, sha256: str, put_before: datetime) -> bool:
        """Forget the bytes unless they were put since.

        The file is moved aside before its time is read: a ``put_*`` at the same moment either touched it before, which
        shows, or finds nothing and writes it anew.
        """
        path, aside = self._path(sha256), self._incoming / f"discarded-{sha256}"
        try:
            path.replace(aside)
            if aside.stat().st_mtime >= put_before.timestamp():
                aside.replace(path)
                return False
        except FileNotFoundError:  # another sweep was faster
            return True
        aside.unlink(missing_ok=True)
        return True

    def tidy(self, written_before: datetime) -> None:
        """Remove what a write that was killed left behind."""
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < written_before.timestamp():
                    path.unlink()

    def check_writable(self) -> None:
        """Write and remove a small file."""
        with self._written_aside() as (stream, _):
            stream.write(b"ready")
            stream.flush()

    def _path(self, sha256: str) -> Path:
        name = digest_of(sha256)
        return self._root / name[:2] / name[2:4] / name

    def _touch(self, sha256: Sha256) -> bool:
        """Whether it is there already; then it counts as put now, so that the sweep spares it."""
        try:
            os.utime(self._path(sha256))
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _written_aside(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A temporary file beside the artefacts, gone at the end whatever happens."""
        with refusing_without_room("the disk that holds the artefacts is full"):
            handle, name = tempfile.mkstemp(dir=self._incoming)
            temporary = Path(name)
            try:
                with os.fdopen(handle, "wb") as stream:
                    yield stream, temporary
            finally:
                temporary.unlink(missing_ok=True)

    def _publish(self, stream: BinaryIO, temporary: Path, sha256: Sha256) -> None:
        stream.flush()
        os.fsync(stream.fileno())
        final = self._path(sha256)
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o644)
        temporary.replace(final)
        _sync_folder(final.parent)


def digest_of(text: str) -> Sha256:
    """``text`` as a digest. Raises ``ArtifactMissing`` for anything else, so that no name leads out of the store."""
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ArtifactMissing(f"{text!r} is not a SHA-256 digest")
    return Sha256(text)


@contextmanager
def refusing_without_room(detail: str) -> Iterator[None]:
    """A disk that fills up inside the block raises ``StorageFull``."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(detail) from error
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
