"""What the demo uploads: drawn samples or a person's own folder, as one zip."""

import subprocess
import sys
import zipfile
from pathlib import Path

from service.contracts.datasets import Split
from service.demo.failure import DemoFailed
from service.settings import Settings

#: Named, not imported: this room does not know the models' room.
_SAMPLES_MODULE = "models.prior.samples"
_DRAWING_TIMEOUT_SECONDS = 120
_SPARE_BYTES = 2**20
_SECONDS_AN_IMAGE = 10.0


def draw_samples(folder: Path) -> Path:
    """Three classes of drawn surfaces that the base model was not trained on: 20 to train on, 20 to score by."""
    command = [sys.executable, "-m", _SAMPLES_MODULE, str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_DRAWING_TIMEOUT_SECONDS)
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip().splitlines()[-1:] or [f"status {error.returncode}"]
        raise DemoFailed(f"The sample images could not be drawn: {told[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise DemoFailed(f"Drawing the samples took over {_DRAWING_TIMEOUT_SECONDS} s; something is wrong.") from error
    return folder


def check_data(folder: Path) -> None:
    """Raise ``DemoFailed`` for a folder that holds no class folders with files."""
    if not folder.is_dir():
        raise DemoFailed(f"DATA={folder} is not a folder. Give one with a sub-folder of images for each class.")
    if not _members(folder):
        raise DemoFailed(f"{folder} has no sub-folder with files. Put the images of each class in a folder of its own.")


def pack(folder: Path, archive: Path) -> None:
    """Zip ``folder/CLASS/*`` (or ``folder/{train,validation,test}/CLASS/*``), stored as it is.

    Loose and hidden files stay out. A class folder without files goes in, so that the service can warn of it.
    """
    try:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, strict_timestamps=False) as packed:
            for path in _members(folder):
                packed.write(path, path.relative_to(folder))
            for path in _empty_classes(folder):
                packed.writestr(f"{path.relative_to(folder).as_posix()}/", b"")
    except OSError as error:
        raise DemoFailed(f"The images in {folder} cannot be packed: {error}") from error


def with_room_for(settings: Settings, archive: Path) -> Settings:
    """Settings whose upload limits admit ``archive``: a demo's service has this one client."""
    size_bytes = archive.stat().st_size + _SPARE_BYTES
    with zipfile.ZipFile(archive) as packed:
        entries = len(packed.infolist())
    return settings.model_copy(
        update={
            "max_request_bytes": max(settings.max_request_bytes, size_bytes),
            "max_zip_expanded_bytes": max(settings.max_zip_expanded_bytes, size_bytes),
            "max_zip_entries": max(settings.max_zip_entries, entries),
            "max_images_per_upload": max(settings.max_images_per_upload, entries),
            "max_upload_pixels": max(settings.max_upload_pixels, entries * settings.max_image_pixels),
            "max_upload_seconds": max(settings.max_upload_seconds, entries * _SECONDS_AN_IMAGE),
        }
    )


def _members(folder: Path) -> list[Path]:
    found = (path for pattern in ("*/*", "*/*/*") for path in folder.glob(pattern) if path.is_file())
    return sorted(path for path in found if not _is_hidden(path, folder))


def _empty_classes(folder: Path) -> list[Path]:
    tops = [path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path, folder)]
    classes = [path for path in tops if path.name not in frozenset(Split)]
    return sorted(path for path in classes if not any(path.iterdir()))


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
