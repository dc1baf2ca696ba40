"""An archive: its manifest, its files in order, and the digest that stands for its bytes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from service.contracts.generations import DecidedImage
from service.exports.choosing import Chosen, Picture, Wanted
from service.exports.layouts import LAYOUTS, Layout, Place
from service.exports.manifest import ExportFormat, Manifest, ManifestImage
from service.exports.zipping import Member
from service.store.artifacts import ArtifactStore

#: To be raised with every change of the bytes that equal records give: half-done downloads must not go on across it.
_REVISION = 3


@dataclass(frozen=True)
class Archive:
    """Equal records and wishes give equal ``members``, hence equal bytes and an equal ``etag``."""

    members: Sequence[Member]
    etag: str


def archive_of(manifest: Manifest, artifacts: ArtifactStore) -> Archive:
    """The archive of this manifest: ``manifest.json``, the format's own index, and the images."""
    texts = {"manifest.json": json.dumps(manifest.model_dump(mode="json"), indent=1)}
    texts |= LAYOUTS[manifest.format].index(manifest)
    members = [_text_member(name, text) for name, text in texts.items()]
    members += [_stored_member(image, artifacts) for image in manifest.images]
    digest = hashlib.sha256(f"{_REVISION} {json.dumps(texts)}".encode()).hexdigest()
    return Archive(members, f'"{digest}"')


def manifest_of(generation_id: str, state: str, chosen: Chosen, wanted: Wanted, layout: ExportFormat) -> Manifest:
    """The lineage of every image; sources that were deleted since are named by id alone."""
    return Manifest(
        generation_id=generation_id,
        state=state,
        software=f"defectsynth {version('defectsynth')}",
        format=layout,
        include_real=wanted.include_real,
        include_rejected=wanted.include_rejected,
        normal_class=wanted.normal_class,
        synthetic=all(picture.is_synthetic for picture in chosen.pictures),
        left_out=dict(chosen.left_out),
        decisions=dict(chosen.decisions),
        classes=dict(chosen.classes),
        images=_entries(chosen, wanted, LAYOUTS[layout]),
    )


def _entries(chosen: Chosen, wanted: Wanted, layout: Layout) -> list[ManifestImage]:
    numbers = {name: number for number, name in enumerate(sorted(chosen.classes))}

    def placed(picture: Picture) -> Place:
        name = picture.image.class_name
        return Place(picture, chosen.classes[name].folder, numbers[name], name == wanted.normal_class)

    return [_entry(picture, layout.path(placed(picture))) for picture in chosen.pictures]


def _entry(picture: Picture, path: str) -> ManifestImage:
    image, source, second = picture.image, picture.source, picture.second_source
    generated = image if isinstance(image, DecidedImage) else None
    return ManifestImage(
        file=path,
        synthetic=picture.is_synthetic,
        class_name=image.class_name,
        sha256=image.sha256,
        size_bytes=image.size_bytes,
        width_px=image.width_px,
        height_px=image.height_px,
        mode=image.mode,
        number=generated.number if generated is not None else None,
        seed=generated.seed if generated is not None else None,
        source_image_id=source.id if source is not None else generated.source_image_id if generated else None,
        source_filename=source.filename if source is not None else None,
        source_sha256=source.sha256 if source is not None else None,
        source_group=source.group if source is not None else None,
        second_source_image_id=generated.second_source_image_id if generated is not None else None,
        second_source_filename=second.filename if second is not None else None,
        second_source_sha256=second.sha256 if second is not None else None,
        decision=generated.decision if generated is not None else None,
    )


def _text_member(name: str, text: str) -> Member:
    data = text.encode()
    return Member(name, len(data), lambda: data)


def _stored_member(image: ManifestImage, artifacts: ArtifactStore) -> Member:
    return Member(image.file, image.size_bytes, lambda: artifacts.path_of(image.sha256).read_bytes())
