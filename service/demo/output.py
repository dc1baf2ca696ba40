"""The folder that the demo fills. It deletes an earlier demo's output and nothing else."""

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from service.demo.failure import DemoFailed

_MARK = ".defectsynth-demo"


@dataclass(frozen=True)
class Output:
    """Where things lie under the demo's folder."""

    folder: Path

    @property
    def data_dir(self) -> Path:
        """The service's own data folder."""
        return self.folder / "service"

    @property
    def log(self) -> Path:
        """The service's log."""
        return self.folder / "service.log"

    @property
    def samples(self) -> Path:
        """Drawn samples."""
        return self.folder / "samples"

    @property
    def images(self) -> Path:
        """Synthetic images, a folder a class, with the manifest of their lineage."""
        return self.folder / "images"

    @property
    def contact_sheets(self) -> Path:
        """One PNG a class, real above synthetic."""
        return self.folder / "contact-sheets"

    @property
    def report(self) -> Path:
        """Everything that was measured, as JSON."""
        return self.folder / "report.json"

    @property
    def summary(self) -> Path:
        """What was shown at the end, as text."""
        return self.folder / "summary.txt"

    def temporary(self, name: str) -> Path:
        """A file that goes with the service's data folder."""
        return self.data_dir / name


def prepared(folder: Path) -> Output:
    """The folder, empty but for its mark. Raises ``DemoFailed`` for a folder with somebody else's files in it."""
    output = Output(folder.resolve())
    try:
        output.folder.mkdir(parents=True, exist_ok=True)
        if any(output.folder.iterdir()) and not (output.folder / _MARK).exists():
            raise DemoFailed(
                f"{folder} holds files that no demo wrote, and a demo clears its folder. Name another with --out."
            )
        (output.folder / _MARK).touch()
        for one in (output.data_dir, output.samples, output.images, output.contact_sheets):
            shutil.rmtree(one, ignore_errors=True)
        for one in (output.log, output.report, output.summary):
            one.unlink(missing_ok=True)
        output.data_dir.mkdir()
    except OSError as error:
        raise DemoFailed(f"{folder} cannot be used for output: {error}. Name another folder with --out.") from error
    return output


def unpack(archive: Path, folder: Path) -> int:
    """Unpack a generation's archive; how many images it held. Raises ``DemoFailed`` where it is damaged."""
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
            return sum(name.endswith(".png") for name in packed.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise DemoFailed(f"The archive of the images cannot be unpacked into {folder}: {error}") from error
