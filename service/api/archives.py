"""A generation as a zip, made while it is sent: ImageFolder layout (``class/000000.png``) and ``manifest.json``."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

from pydantic import BaseModel

from service.api.views import WorkState
from service.contracts.datasets import ImageRecord
from service.contracts.generations import DecidedImage, Decision, DecisionCounts, DecisionState, GenerationParams
from service.store.artifacts import ArtifactStore

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


class ManifestImage(BaseModel):
    """One file of the archive and where it comes from."""

    file: str
    synthetic: bool = True
    class_name: str
    number: int
    sha256: str
    seed: int
    width_px: int
    height_px: int
    mode: str
    source_image_id: str | None
    source_filename: str | None
    source_sha256: str | None
    decision: Decision | None


class ManifestClass(BaseModel):
    """What one class's images have in common."""

    adapter_id: str
    base_model: str | None
    params: GenerationParams


class Manifest(BaseModel):
    """``manifest.json``. ``state`` is the generation's when the archive was made: other than succeeded, images lack.

    ``decisions`` counts all published images by class; rejected ones are in ``images`` where ``include_rejected``.
    """

    generation_id: str
    state: WorkState
    software: str
    synthetic: bool = True
    classes: dict[str, ManifestClass]
    include_rejected: bool
    decisions: dict[str, DecisionCounts]
    images: list[ManifestImage]


def manifest_of(
    generation_id: str,
    state: WorkState,
    images: Sequence[DecidedImage],
    classes: dict[str, ManifestClass],
    sources: Mapping[str, ImageRecord],
    *,
    include_rejected: bool,
) -> Manifest:
    """The lineage of every image; sources that were deleted since are named by id alone."""
    return Manifest(
        generation_id=generation_id,
        state=state,
        software=f"defectsynth {version('defectsynth')}",
        classes=classes,
        include_rejected=include_rejected,
        decisions=_decisions(images),
        images=[
            _entry(image, sources.get(image.source_image_id or ""))
            for image in images
            if include_rejected or image.decision is not Decision.REJECT
        ],
    )


def _decisions(images: Sequence[DecidedImage]) -> dict[str, DecisionCounts]:
    """Of all images that were read, so that they agree with those that are delivered."""
    found: dict[str, Counter[str]] = {}
    for image in images:
        found.setdefault(image.class_name, Counter())[image.decision or DecisionState.UNDECIDED] += 1
    return {class_name: DecisionCounts(**numbers) for class_name, numbers in found.items()}


def _entry(image: DecidedImage, source: ImageRecord | None) -> ManifestImage:
    return ManifestImage(
        file=f"{image.class_name}/{image.number:06d}.png",
        source_filename=source.filename if source else None,
        source_sha256=source.sha256 if source else None,
        **image.model_dump(exclude={"size_bytes"}),
    )


def text_of(manifest: Manifest) -> str:
    """``manifest.json``. It decides every byte of the archive, because it names each file by its digest."""
    return json.dumps(manifest.model_dump(mode="json"), indent=1)


def zip_stream(manifest: Manifest, artifacts: ArtifactStore) -> Iterator[bytes]:
    """The zip's bytes, file by file; PNG does not shrink further, so files are stored as they are."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("manifest.json", _TIMESTAMP), text_of(manifest))
        for image in manifest.images:
            archive.writestr(zipfile.ZipInfo(image.file, _TIMESTAMP), artifacts.path_of(image.sha256).read_bytes())
            yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Takes what zipfile writes; it cannot seek, so zipfile writes sizes behind each file."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: object) -> int:
        """Keep a copy."""
        chunk = bytes(data)  # type: ignore[call-overload]
        self._chunks.append(chunk)
        return len(chunk)

    def taken(self) -> bytes:
        """What was written since the last time."""
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)
