"""One job's scratch folder, and the way of images and adapters between it and the store.

The folder is kept between attempts, so that checkpoints outlive a killed worker, and goes when the job is final.
"""

import hashlib
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from models.imaging.arrays import load_image
from service.contracts.ids import JobId
from service.errors import ArtifactDamaged
from service.store.artifacts import ArtifactStore

#: The time in every archive, so that equal contents are equal bytes (zip knows nothing before 1980).
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_FILE_RIGHTS = 0o100644 << 16


class Workspace:
    """``root/<job_id>``, made at the first use."""

    def __init__(self, root: Path, job_id: JobId) -> None:
        self._folder = root / job_id

    def folder(self, name: str) -> Path:
        """A sub-folder, as an earlier attempt may have left it."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def fresh_folder(self, name: str) -> Path:
        """A sub-folder, empty."""
        shutil.rmtree(self._folder / name, ignore_errors=True)
        return self.folder(name)

    def remove(self) -> None:
        """Remove the whole folder; gone already is fine."""
        shutil.rmtree(self._folder, ignore_errors=True)


def load_images(artifacts: ArtifactStore, digests: Iterable[str]) -> list[Image.Image]:
    """Stored images, mode "L" or "RGB". Raises `ArtifactMissing`, `ArtifactDamaged` and `DatasetUnusable`."""
    return [load_image(whole(artifacts, digest)) for digest in digests]


def whole(artifacts: ArtifactStore, digest: str) -> Path:
    """The path of stored bytes that are what their name says. Raises `ArtifactMissing` and `ArtifactDamaged`."""
    path = artifacts.path_of(digest)
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
            raise ArtifactDamaged(f"the bytes {digest} in the store are damaged")
    return path


def pack(folder: Path, archive: Path) -> None:
    """Zip the files of ``folder``: the same files give the same bytes whenever and wherever."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _FILE_RIGHTS
            packed.writestr(entry, path.read_bytes())


def unpack(archive: Path, folder: Path) -> None:
    """The reverse of `pack`. Raises ``zipfile.BadZipFile`` for a damaged archive."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
