"""Files of weights that an operator registers: read once, compared with their pinned digest, and only then opened."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch

from models.errors import ExtractorUnusable

_CHUNK_BYTES = 2**20


def read_pinned(path: Path, sha256: str, name: str) -> bytes:
    """The bytes of ``path``, once their SHA-256 is ``sha256``: what was compared is what will be opened.

    Raises `ExtractorUnusable` for a file that cannot be read or has another digest.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        why = f"its file cannot be read ({error.strerror})"
        raise unusable(name, why, "Correct 'path' in the registry.", str(path)) from error
    check_digest(hashlib.sha256(content).hexdigest(), sha256, path, name)
    return content


def check_digest(found: str, expected: str, path: Path, name: str) -> None:
    """Raises `ExtractorUnusable` naming both digests where they differ."""
    if found != expected.lower():
        remedy = "Install the file again; pin the digest found only where you trust the file."
        raise unusable(name, f"its weights have the SHA-256 {found}, registered is {expected}", remedy, str(path))


def digest_of(paths: Iterable[Path]) -> str:
    """SHA-256 of one file, or of several in the order of their names, as if they were one; hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda one: one.name):
        with path.open("rb") as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def check_finite(tensors: Iterable[torch.Tensor], path: Path, name: str) -> None:
    """Raises `ExtractorUnusable` where a weight is NaN or infinite."""
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point()):
        raise unusable(name, "its weights are not finite", "Install the file again.", str(path))


def unusable(name: str, why: str, remedy: str, detail: str) -> ExtractorUnusable:
    """The error for extractor ``name``; ``detail``: where it lies, which clients are not told."""
    message = f"Extractor {name!r} cannot be used: {why}."
    return ExtractorUnusable(message, field="extractor", remedy=remedy, detail=detail)
