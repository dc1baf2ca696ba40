"""The archive: a plain tar, written and read from its beginning to its end.

::

    head.json              what it is, and the revision of the schema
    tables/<name>.jsonl    one table's rows, a JSON object a line
    artifacts/<sha256>     stored bytes, of which nothing needs to be believed: the name is their digest
    manifest.json          digest and number of rows of each table; how many artefacts; the last, so a cut is noticed

Whatever else a tar could hold (links, devices, folders, names with ``..``) is refused, and nothing is ever unpacked by
the name that it has in the archive.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

FORMAT = 1
HEAD, MANIFEST = "head.json", "manifest.json"
_TABLE = re.compile(r"tables/([a-z][a-z0-9_]*)\.jsonl")
_ARTIFACT = re.compile(r"artifacts/([0-9a-f]{64})")
#: Of the two JSON members, which are read whole.
_MAX_WORDS_BYTES = 16 * 2**20
CHUNK_BYTES = 2**20


class BackupError(Exception):
    """What is wrong, and what to do about it, in words for the operator."""


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Head(_Words):
    """What an archive is."""

    format: int
    software: str
    revision: str
    created_at: datetime


class TableDigest(_Words):
    """What one table's member must be."""

    sha256: str
    num_rows: int


class Manifest(_Words):
    """What the archive must have held. ``missing``: artefacts that rows name and that the store did not have."""

    tables: dict[str, TableDigest]
    num_artifacts: int
    artifact_bytes: int
    missing: list[str]


@dataclass(frozen=True)
class Member:
    """One file of an archive, to be read once and in its turn. ``table`` or ``artifact`` names it where it is one."""

    name: str
    size_bytes: int
    stream: IO[bytes]
    table: str | None
    artifact: str | None

    def digest(self) -> str:
        """Read to the end: the SHA-256."""
        digest = hashlib.sha256()
        while chunk := self.stream.read(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()


def table_member(name: str) -> str:
    """A table's name in the archive."""
    return f"tables/{name}.jsonl"


def artifact_member(sha256: str) -> str:
    """An artefact's name in the archive."""
    return f"artifacts/{sha256}"


@contextmanager
def members_of(path: Path) -> Iterator[Iterator[Member]]:
    """The members of an archive, in their order. Raises `BackupError` for anything that is not one of ours."""
    try:
        source = path.open("rb")
    except OSError as error:
        raise BackupError(f"{path} cannot be read ({error.strerror or error}).") from error
    try:
        with source, tarfile.open(fileobj=source, mode="r|") as archive:
            yield _members(archive)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{path} cannot be read as a backup ({error}). Take another copy of it.") from error


def _members(archive: tarfile.TarFile) -> Iterator[Member]:
    seen: set[str] = set()
    for entry in archive:
        table, artifact = _TABLE.fullmatch(entry.name), _ARTIFACT.fullmatch(entry.name)
        known = table or artifact or entry.name in (HEAD, MANIFEST)
        stream = archive.extractfile(entry) if known and entry.isreg() else None
        if stream is None or entry.name in seen:
            raise BackupError(f"the archive holds {entry.name!r}, which a backup does not: it is not used.")
        seen.add(entry.name)
        yield Member(
            entry.name, entry.size, stream, table.group(1) if table else None, artifact.group(1) if artifact else None
        )


def read_head(member: Member | None) -> Head:
    """The first member. Raises `BackupError` where it is of another kind, or newer than this software."""
    if member is None or member.name != HEAD:
        raise BackupError("this is not a backup of defectsynth: it does not begin with head.json.")
    text = member.stream.read(_MAX_WORDS_BYTES)
    try:
        head = Head.model_validate_json(text)
    except ValidationError as error:
        raise BackupError("the backup's head cannot be read: it was made by other software.") from error
    if head.format != FORMAT:
        raise BackupError(f"the backup has format {head.format} and this version reads {FORMAT}: use {head.software}.")
    return head


def read_manifest(member: Member) -> Manifest:
    """The last member. Raises `BackupError`."""
    try:
        return Manifest.model_validate_json(member.stream.read(_MAX_WORDS_BYTES))
    except ValidationError as error:
        raise BackupError("the backup's manifest is damaged. Take another copy of the file.") from error
