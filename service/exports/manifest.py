"""``manifest.json``, which every archive holds: where each file comes from, and by which settings it was made."""

from enum import StrEnum

from pydantic import BaseModel

from service.contracts.generations import Decision, DecisionCounts, GenerationParams


class ExportFormat(StrEnum):
    """Layouts of an archive, each as its own tool reads it."""

    IMAGEFOLDER = "imagefolder"
    COCO = "coco"
    ANOMALIB = "anomalib"
    HUGGINGFACE = "huggingface"


class LeftOut(StrEnum):
    """Why an image is not in the archive."""

    REJECTED = "rejected"
    SOURCE_HELD_OUT = "source_held_out"
    HELD_OUT = "held_out"


class ManifestImage(BaseModel):
    """One file of the archive and where it comes from.

    Of a synthetic image: ``number``, ``seed``, and its source, a real train image (none where it was made from noise);
    where it was spliced, ``second_source_*`` too. Of a real one: ``source_*`` is itself.
    """

    file: str
    synthetic: bool
    class_name: str
    sha256: str
    size_bytes: int
    width_px: int
    height_px: int
    mode: str
    number: int | None = None
    seed: int | None = None
    source_image_id: str | None = None
    source_filename: str | None = None
    source_sha256: str | None = None
    source_group: str | None = None
    second_source_image_id: str | None = None
    second_source_filename: str | None = None
    second_source_sha256: str | None = None
    decision: Decision | None = None


class ManifestClass(BaseModel):
    """What one class's images have in common. ``folder``: its name made safe for every file system.

    What a deleted adapter knew is null: its base model, and the dataset version that it had learned from. ``params``
    is null for a class of which there are real images alone.
    """

    folder: str
    adapter_id: str | None = None
    base_model: str | None = None
    dataset_version_id: str | None = None
    params: GenerationParams | None = None


class Manifest(BaseModel):
    """``manifest.json``. ``state`` is the generation's when the archive was made: other than succeeded, images lack.

    ``synthetic``: whether all images are. ``left_out``: how many images are not here, by reason.
    ``decisions``: about all published images, by class.
    """

    generation_id: str
    state: str
    software: str
    format: ExportFormat
    include_real: bool
    include_rejected: bool
    normal_class: str | None
    synthetic: bool
    left_out: dict[LeftOut, int]
    decisions: dict[str, DecisionCounts]
    classes: dict[str, ManifestClass]
    images: list[ManifestImage]
