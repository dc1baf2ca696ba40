"""Datasets: images of defect classes, each in one split, fixed when it is received."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from service.contracts.ids import ImageId, Sha256
from service.contracts.words import Word

CLASS_NAME_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
ClassName = Annotated[str, StringConstraints(pattern=CLASS_NAME_PATTERN.pattern)]


class Split(StrEnum):
    """Adaptation sees ``train``; search and gates see ``validation`` too; ``test`` is for final scores alone."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class ImageRecord(Word):
    """One real image as kept: always PNG, EXIF rotation applied, mode ``L`` or ``RGB``."""

    id: ImageId
    class_name: str
    filename: str
    sha256: Sha256
    split: Split
    group: str | None
    width_px: int
    height_px: int
    mode: str


class RefusedImage(Word):
    """An upload that was not accepted: which, why, and what to do about it."""

    filename: str
    code: str
    reason: str
    remedy: str


class DatasetWarning(Word):
    """Something about accepted images that a person should know."""

    code: str
    class_name: str | None
    message: str
