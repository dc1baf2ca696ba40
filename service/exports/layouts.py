"""Where each format wants its files, and the index that it reads. Rules of the tools are in docs/exports.md."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from service.contracts.generations import GeneratedImage
from service.exports.choosing import Picture
from service.exports.manifest import ExportFormat, Manifest, ManifestImage


@dataclass(frozen=True)
class Place:
    """What decides where a picture lies. ``number``: of its class among the archive's classes."""

    picture: Picture
    folder: str
    class_number: int
    is_normal: bool

    @property
    def name(self) -> str:
        """The file's own name: ``000007.png`` of a synthetic image, ``real-img_….png`` of a real one."""
        image = self.picture.image
        return f"{image.number:06d}.png" if isinstance(image, GeneratedImage) else f"real-{image.id}.png"


@dataclass(frozen=True)
class Layout:
    """``path``: of a picture; ``index``: files besides ``manifest.json``, by path."""

    path: Callable[[Place], str]
    index: Callable[[Manifest], Mapping[str, str]]


def _no_index(manifest: Manifest) -> dict[str, str]:
    return {}


def _coco_index(manifest: Manifest) -> dict[str, str]:
    """One annotation an image, with its class and without a box: where on the image the defect lies is not known."""
    numbers = {name: number for number, name in enumerate(sorted(manifest.classes), start=1)}
    document = {
        "info": {"description": f"Generation {manifest.generation_id}", "contributor": manifest.software},
        "licenses": [],
        "categories": [{"id": number, "name": name, "supercategory": "defect"} for name, number in numbers.items()],
        "images": [_coco_image(number, image) for number, image in enumerate(manifest.images, start=1)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": numbers[image.class_name], "iscrowd": 0}
            for number, image in enumerate(manifest.images, start=1)
        ],
    }
    return {"annotations.json": json.dumps(document, indent=1)}


def _coco_image(number: int, image: ManifestImage) -> dict[str, object]:
    return {
        "id": number,
        "file_name": image.file.removeprefix("images/"),
        "width": image.width_px,
        "height": image.height_px,
        "synthetic": image.synthetic,
        "sha256": image.sha256,
    }


def _huggingface_index(manifest: Manifest) -> dict[str, str]:
    """A line an image. No text is null, and synthetic images come first: the loader takes a column's type from the
    first lines, and one without a value has none."""
    lines = [
        {
            "file_name": image.file.removeprefix("train/"),
            "label": image.class_name,
            "synthetic": image.synthetic,
            "sha256": image.sha256,
            "number": image.number,
            "seed": image.seed,
            "source_image_id": image.source_image_id or "",
            "source_filename": image.source_filename or "",
            "second_source_image_id": image.second_source_image_id or "",
            "second_source_filename": image.second_source_filename or "",
        }
        for image in manifest.images
    ]
    return {"train/metadata.jsonl": "".join(f"{json.dumps(line)}\n" for line in lines)}


LAYOUTS: Mapping[ExportFormat, Layout] = {
    ExportFormat.IMAGEFOLDER: Layout(lambda place: f"{place.folder}/{place.name}", _no_index),
    ExportFormat.COCO: Layout(lambda place: f"images/{place.folder}/{place.name}", _coco_index),
    ExportFormat.ANOMALIB: Layout(
        lambda place: f"{'normal' if place.is_normal else 'abnormal'}/{place.folder}/{place.name}", _no_index
    ),
    # Folders have numbers: the loader would take one named "test" for a split.
    ExportFormat.HUGGINGFACE: Layout(lambda place: f"train/{place.class_number:03d}/{place.name}", _huggingface_index),
}
