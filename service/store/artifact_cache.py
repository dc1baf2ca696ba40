"""Copies of stored bytes on this machine's disk, for a store that is elsewhere. Processes may share the folder."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from service.contracts.ids import Sha256
from service.errors import ArtifactDamaged
from service.store.artifacts import refusing_without_room

#: Copies used so lately are never removed: their path was just given to someone who is about to open it.
_IN_USE_SECONDS = 120.0
#: The folder is looked through when this process has added so much of what it may hold.
_LOOKS_PER_FILL = 16


class ArtifactCache:
    """A folder of copies, each verified when it was made; the least recently used go beyond ``max_bytes``.

    The bound is kept within a few percent, and what was used within the last two minutes stays whatever it weighs. A
    copy's modification time is the time of its last use.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._added_bytes = max_bytes  # What earlier processes left counts: the first copy looks through the folder.

    def find(self, sha256: Sha256) -> Path | None:
        """The copy, counted as used now; None where there is none."""
        path = self._path(sha256)
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def add(self, sha256: Sha256, chunks: Iterable[bytes]) -> Path:
        """Keep what ``chunks`` give. Raises ``StorageFull``, and ``ArtifactDamaged`` for bytes of another digest."""
        path = self._path(sha256)
        with refusing_without_room("the disk that holds the artefact cache is full"):
            path.parent.mkdir(parents=True, exist_ok=True)
            size_bytes = self._write(path, sha256, chunks)
        self._added_bytes += size_bytes
        if self._added_bytes * _LOOKS_PER_FILL > self._max_bytes:
            self._added_bytes = 0
            self._shrink()
        return path

    def forget(self, sha256: Sha256) -> None:
        """Remove the copy; without one nothing happens."""
        self._path(sha256).unlink(missing_ok=True)

    def _write(self, path: Path, sha256: Sha256, chunks: Iterable[bytes]) -> int:
        handle, name = tempfile.mkstemp(dir=self._root, prefix="incoming-")
        incoming, digest, size_bytes = Path(name), hashlib.sha256(), 0
        try:
            with os.fdopen(handle, "wb") as stream:
                for chunk in chunks:
                    stream.write(chunk)
                    digest.update(chunk)
                    size_bytes += len(chunk)
            if digest.hexdigest() != sha256:
                raise ArtifactDamaged(f"what the store gives as {sha256} are other bytes")
            incoming.replace(path)
        finally:
            incoming.unlink(missing_ok=True)
        return size_bytes

    def _shrink(self) -> None:
        copies = sorted(self._copies())
        excess_bytes = sum(size_bytes for _, size_bytes, _ in copies) - self._max_bytes
        spared_since = time.time() - _IN_USE_SECONDS
        for used_at, size_bytes, path in copies:
            if excess_bytes <= 0 or used_at >= spared_since:
                return
            path.unlink(missing_ok=True)
            excess_bytes -= size_bytes

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        """Each file with its last use and size; a download that was killed is one too, and goes in its turn."""
        for path in (*self._root.glob("??/*"), *self._root.glob("incoming-*")):
            with suppress(FileNotFoundError):
                found = path.stat()
                yield found.st_mtime, found.st_size, path

    def _path(self, sha256: Sha256) -> Path:
        return self._root / sha256[:2] / sha256
