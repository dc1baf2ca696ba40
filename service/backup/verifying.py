"""Use case: look whether a backup is whole. Nothing is written."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from service.backup.format import BackupError, Head, Manifest, Member, TableDigest, members_of, read_head, read_manifest
from service.backup.writing import Tell


@dataclass(frozen=True)
class Verified:
    """A whole archive's head and manifest."""

    head: Head
    manifest: Manifest


def verify(path: Path, tell: Tell) -> Verified:
    """Compare every byte with its digest. Raises `BackupError` for what is damaged, cut off, or not a backup."""
    tables: dict[str, TableDigest] = {}
    num_artifacts = artifact_bytes = 0
    size_bytes = path.stat().st_size if path.is_file() else 0
    read_bytes = 0
    manifest: Manifest | None = None
    with members_of(path) as members:
        head = read_head(next(members, None))
        for member in members:
            if manifest is not None:
                raise BackupError("the archive goes on after its manifest: it is not used.")
            read_bytes += member.size_bytes
            tell(read_bytes, size_bytes)
            if member.table is not None:
                tables[member.table] = _table(member)
            elif member.artifact is not None:
                _check(member.name, member.digest(), member.artifact)
                num_artifacts += 1
                artifact_bytes += member.size_bytes
            else:
                manifest = read_manifest(member)
    if manifest is None:
        raise BackupError(f"{path} ends before its manifest: it was cut off. Take another copy of it.")
    for name in tables.keys() | manifest.tables.keys():
        _check(f"table {name}", tables.get(name), manifest.tables.get(name))
    _check("the number of artefacts", num_artifacts, manifest.num_artifacts)
    _check("the size of the artefacts", artifact_bytes, manifest.artifact_bytes)
    return Verified(head, manifest)


def _table(member: Member) -> TableDigest:
    digest, num_rows = hashlib.sha256(), 0
    for line in member.stream:
        digest.update(line)
        num_rows += 1
    return TableDigest(sha256=digest.hexdigest(), num_rows=num_rows)


def _check(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise BackupError(f"{what} is not what the backup was made with: the file is damaged. Take another copy of it.")
