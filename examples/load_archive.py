"""Open an archive with the library that its layout is for, picture by picture, and compare with its manifest.

    defectsynth download gen_... --format coco --out data.zip
    python examples/load_archive.py data.zip

What it needs: imagefolder Pillow; coco Pillow and pycocotools; anomalib anomalib; huggingface datasets.
"""

import json
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image


def opened(path: Path) -> bool:
    """Whether the picture can be read to its end."""
    with Image.open(path) as picture:
        picture.load()
        return picture.width > 0


def imagefolder(folder: Path) -> Counter[str]:
    """As every loader of this layout sees it: images by folder."""
    return Counter(path.parent.name for path in folder.glob("*/*.png") if opened(path))


def coco(folder: Path) -> Counter[str]:
    """As pycocotools sees it: images by category."""
    from pycocotools.coco import COCO

    index = COCO(str(folder / "annotations.json"))
    assert all(opened(folder / "images" / image["file_name"]) for image in index.imgs.values())
    return Counter(index.cats[one["category_id"]]["name"] for one in index.anns.values())


def anomalib(folder: Path) -> Counter[str]:
    """As anomalib sees it: how many are normal, and how many are not."""
    from anomalib.data.datasets import FolderDataset

    if not (folder / "normal").is_dir():
        sys.exit("anomalib trains on normal images: download it with --normal-class (normal_class=...)")
    data = FolderDataset("defectsynth", root=folder, normal_dir="normal", abnormal_dir="abnormal")
    return Counter("abnormal" if item.gt_label else "normal" for item in data)


def huggingface(folder: Path) -> Counter[str]:
    """As datasets sees it: images by label."""
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as cache:
        data = load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)
        assert list(data) == ["train"], f"taken for splits: {list(data)}"
        return Counter(one["label"] for one in data["train"] if one["image"].size)


LOADERS = {"imagefolder": imagefolder, "coco": coco, "anomalib": anomalib, "huggingface": huggingface}


def told(manifest: dict[str, Any]) -> Counter[str]:
    """What the manifest says is there, counted as the layout's library counts."""
    images, classes = manifest["images"], manifest["classes"]
    if manifest["format"] == "imagefolder":
        return Counter(classes[one["class_name"]]["folder"] for one in images)
    if manifest["format"] == "anomalib":
        return Counter(one["file"].partition("/")[0] for one in images)
    return Counter(one["class_name"] for one in images)


def main(archive: str) -> None:
    """Unpack, load, compare."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        manifest = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
        try:
            seen = LOADERS[manifest["format"]](Path(folder))
        except ModuleNotFoundError as error:
            sys.exit(f"{error.name} is not installed")
    if seen != told(manifest):
        sys.exit(f"the library sees {dict(seen)}, the manifest tells {dict(told(manifest))}")
    print(f"{manifest['format']}: {dict(seen)}, as the manifest tells")


if __name__ == "__main__":
    main(*sys.argv[1:])
