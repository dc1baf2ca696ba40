"""Artefacts on an S3-compatible server.

S3 cannot move an object aside, and cannot delete one on the condition that nobody has put it again. So every ``put_*``
writes an object of its own, ``objects/<sha256>/<random>``: what deletes names the copies that it has seen, and never
takes one that was put since. Copies of the same bytes are rare, and `tidy` removes all but the newest.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from service.contracts.ids import Sha256
from service.errors import ArtifactMissing
from service.store.artifact_cache import ArtifactCache
from service.store.artifacts import StoredArtifact, digest_of
from service.store.s3_bucket import SINGLE_REQUEST_BYTES, Bucket, KeyAbsent, ListedObject

#: A copy may be tidied away between the listing that named it and its download; then there is a newer one.
_READ_TRIES = 3


class S3Artifacts:
    """A bucket, below ``prefix`` (empty, or ending with a slash). ``presigned_seconds``: None gives out no addresses.

    Besides what `ArtifactStore` says, every method but ``path_of`` of what is cached raises ``StorageUnavailable``.
    """

    def __init__(
        self, bucket: Bucket, prefix: str, cache: ArtifactCache, presigned_seconds: int | None = None,
        new_name: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:  # fmt: skip
        self._bucket = bucket
        self._objects = f"{prefix}objects/"
        self._probe = f"{prefix}ready"
        self._cache = cache
        self._presigned_seconds = presigned_seconds
        self._new_name = new_name

    def put_bytes(self, data: bytes) -> StoredArtifact:
        """Keep ``data``. Raises ``StorageFull``."""
        sha256 = Sha256(hashlib.sha256(data).hexdigest())
        self._bucket.put(self._new_key(sha256), data, sha256)
        return StoredArtifact(sha256, len(data))

    def put_file(self, path: Path) -> StoredArtifact:
        """Keep a copy of the file. Raises ``StorageFull``."""
        with path.open("rb") as source:
            sha256 = Sha256(hashlib.file_digest(source, "sha256").hexdigest())
            size_bytes = source.tell()
            source.seek(0)
            if size_bytes <= SINGLE_REQUEST_BYTES:
                self._bucket.put(self._new_key(sha256), source, sha256)
            else:
                self._bucket.put_in_parts(self._new_key(sha256), path)
        return StoredArtifact(sha256, size_bytes)

    def path_of(self, sha256: str) -> Path:
        """A copy on this machine, fetched unless it is here. Raises ``ArtifactMissing`` and ``StorageFull``."""
        name = digest_of(sha256)
        return self._cache.find(name) or self._fetched(name)

    def download_url(self, sha256: str, media_type: str, filename: str | None) -> str | None:
        """An address of the bytes themselves, if such may be given out. Raises ``ArtifactMissing``."""
        if self._presigned_seconds is None:
            return None
        disposition = "inline" if filename is None else f"attachment; filename*=UTF-8''{quote(filename)}"
        headers = {"Content-Type": media_type, "Content-Disposition": disposition}
        return self._bucket.presigned(self._newest(digest_of(sha256)).key, self._presigned_seconds, headers)

    def delete(self, sha256: str) -> None:
        """Forget the bytes; unknown ones are no error."""
        name = digest_of(sha256)
        self._bucket.delete([one.key for one in self._copies(name)])
        self._cache.forget(name)

    def stored(self) -> Iterator[tuple[Sha256, datetime]]:
        """Every artefact with the time it was last put, by the server's clock."""
        for sha256, copies in groupby(self._bucket.listed(self._objects), self._name_of):
            yield sha256, max(one.put_at for one in copies)

    def discard(self, sha256: str, put_before: datetime) -> bool:
        """Forget the bytes unless they were put since: of the copies seen here, none is deleted while one is young."""
        name = digest_of(sha256)
        copies = self._copies(name)
        put_before = put_before.replace(microsecond=0)  # The server tells whole seconds.
        if any(one.put_at >= put_before for one in copies):
            return False
        self._bucket.delete([one.key for one in copies])
        self._cache.forget(name)
        return True

    def tidy(self, written_before: datetime) -> None:
        """Give back what killed uploads hold, and of several copies keep the newest once that one is old, too."""
        self._bucket.abort_uploads(self._objects, written_before)
        for _, group in groupby(self._bucket.listed(self._objects), self._name_of):
            copies = sorted(group, key=_age)
            if len(copies) > 1 and copies[-1].put_at < written_before:
                self._bucket.delete([one.key for one in copies[:-1]])

    def check_writable(self) -> None:
        """Write a small object, always the same. Raises ``StorageUnavailable`` and ``StorageFull``."""
        data = b"ready"
        self._bucket.put(self._probe, data, hashlib.sha256(data).hexdigest())

    def _fetched(self, name: Sha256) -> Path:
        for _ in range(_READ_TRIES):
            try:
                return self._cache.add(name, self._bucket.read(self._newest(name).key))
            except KeyAbsent:
                continue
        raise ArtifactMissing(f"the bytes {name} are not in the store")

    def _newest(self, name: Sha256) -> ListedObject:
        copies = self._copies(name)
        if not copies:
            raise ArtifactMissing(f"the bytes {name} are not in the store")
        return max(copies, key=_age)

    def _copies(self, name: Sha256) -> list[ListedObject]:
        return list(self._bucket.listed(f"{self._objects}{name}/"))

    def _name_of(self, one: ListedObject) -> Sha256:
        return Sha256(one.key.removeprefix(self._objects).partition("/")[0])

    def _new_key(self, sha256: Sha256) -> str:
        return f"{self._objects}{sha256}/{self._new_name()}"


def _age(one: ListedObject) -> tuple[datetime, str]:
    """Sorts by time, and in the same second always the same way."""
    return one.put_at, one.key
