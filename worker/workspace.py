"""One job's scratch folder, and the way of images and adapters between it and the store.

The folder is kept between attempts, so that checkpoints outlive a killed worker, and goes when the job is final. Each
holder has it under its own token: one that was frozen, believed dead, and comes back no longer finds it.
"""

import hashlib
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
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
    """``root/<job_id>/<fencing_token>``, made at the first use out of what the last holder left.

    The folder is moved, not copied: a holder that lost its lease finds its paths gone, and what it begins anew under
    its own token nobody reads.
    """

    def __init__(self, root: Path, job_id: JobId, fencing_token: int) -> None:
        self._of_job = root / job_id
        self._token = fencing_token
        self._folder = self._of_job / str(fencing_token)

    def folder(self, name: str) -> Path:
        """A sub-folder, as an earlier attempt may have left it."""
        if not self._folder.is_dir():
            self._take_over()
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def fresh_folder(self, name: str) -> Path:
        """A sub-folder, empty."""
        shutil.rmtree(self.folder(name))
        return self.folder(name)

    def discard(self) -> None:
        """Give back the room that this holder's files take; what has been taken over is left alone."""
        going = self._of_job / f"{self._token}-discarded"
        with suppress(FileNotFoundError):
            # Moved before it is emptied, so that nobody takes over half a folder, nor loses what he has taken over.
            self._folder.rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def remove(self) -> None:
        """Remove all that any holder left of a job that is over; gone already is fine."""
        shutil.rmtree(self._of_job, ignore_errors=True)

    def _take_over(self) -> None:
        """Move the newest earlier holder's folder here; one that a later holder has moved meanwhile is not there."""
        self._of_job.mkdir(parents=True, exist_ok=True)
        tokens = (int(one.name) for one in self._of_job.iterdir() if one.name.isdecimal())
        for token in sorted((one for one in tokens if one < self._token), reverse=True):
            with suppress(FileNotFoundError):
                (self._of_job / str(token)).rename(self._folder)
                return


def load_images(artifacts: ArtifactStore, digests: Iterable[str]) -> list[Image.Image]:
    """Stored images, mode "L" or "RGB". Raises `ArtifactMissing`, `ArtifactDamaged` and `DatasetUnusable`."""
    return [load_image(whole(artifacts, digest)) for digest in digests]


class StoredImages(Sequence[Image.Image]):
    """Stored images, each opened when it is asked for: a job looks at few of many, and all may be more than fits.

    Opening raises `ArtifactMissing`, `ArtifactDamaged` and `DatasetUnusable`.
    """

    def __init__(self, artifacts: ArtifactStore, digests: Sequence[str]) -> None:
        self._artifacts = artifacts
        self._digests = tuple(digests)

    def __len__(self) -> int:
        return len(self._digests)

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]  # No slices: they would open many.
        return load_images(self._artifacts, [self._digests[index]])[0]


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
