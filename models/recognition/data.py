"""The images of a recognition. What is developed with, and what is only tested on, are two things by type."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from models.errors import DatasetUnusable
from models.folds import folds_of
from models.imaging.arrays import eight_bit, to_tensor
from models.imaging.fit import FitPolicy

MIN_CLASSES, MIN_TRAIN_IMAGES, MIN_TEST_IMAGES = 2, 2, 1
#: With fewer validation images of a class the ratio is chosen on train images held out for it.
MIN_VALIDATION_IMAGES = 8


@dataclass(frozen=True)
class Labelled:
    """Pictures and the index of each one's class."""

    images: Sequence[Image.Image]
    labels: Sequence[int]

    def __len__(self) -> int:
        return len(self.labels)

    def taken(self, indices: Sequence[int]) -> "Labelled":
        """Those at ``indices``, in their order."""
        return Labelled([self.images[index] for index in indices], [self.labels[index] for index in indices])


@dataclass(frozen=True)
class Development:
    """All that training and the choice of the ratio may know: no test image is reachable from it.

    ``sources``: for each synthetic image the indices of the train images that it was made from, none from noise.
    ``groups``: of each train image (coil, strip, part), where known; a group is never divided.
    """

    class_names: Sequence[str]
    train: Labelled
    validation: Labelled
    synthetic: Labelled
    sources: Sequence[Sequence[int]]
    groups: Sequence[str | None]

    def checked(self) -> "Development":
        """Itself. Raises `DatasetUnusable` naming what is missing."""
        if len(self.class_names) < MIN_CLASSES:
            raise DatasetUnusable(
                f"There are {len(self.class_names)} classes; {MIN_CLASSES} are needed to tell apart.",
                field="classes", remedy="Name more classes.",
            )  # fmt: skip
        self.require(self.train, MIN_TRAIN_IMAGES, "train")
        self.require(self.synthetic, 1, "synthetic")
        return self

    def require(self, images: Labelled, least: int, kind: str) -> None:
        """Raise `DatasetUnusable` unless ``images`` holds ``least`` of each class."""
        counts = Counter(images.labels)
        for label, name in enumerate(self.class_names):
            if counts[label] < least:
                raise DatasetUnusable(
                    f"Class {name!r} has {counts[label]} {kind} images; {least} are needed.",
                    field="classes", remedy=f"Add {kind} images of the class, or leave it out.",
                )  # fmt: skip

    @property
    def has_validation(self) -> bool:
        """Whether every class has validation images enough to choose the ratio by."""
        counts = Counter(self.validation.labels)
        return all(counts[label] >= MIN_VALIDATION_IMAGES for label in range(len(self.class_names)))

    def folds(self, number: int, seed: int) -> list["Development"]:
        """This with one part of the train images after the other as validation images instead.

        Parts hold whole groups, as evenly as these allow; there are at most ``number``. Synthetic images that were made
        from a part's images are left out with it.
        """
        labels = np.asarray(self.train.labels)
        of = folds_of(labels, self._dealt_by(), number, seed)
        parts = [np.flatnonzero(of == fold) for fold in range(number)]
        # Groups of several classes may have left all of a class in one part: it must be trained on, too.
        kept = [[int(one) for one in part if np.any((labels == labels[one]) & (of != of[one]))] for part in parts]
        return [self._without(part) for part in kept if part]

    def _dealt_by(self) -> list[str]:
        """A name of each train image's group. One group alone is divided rather than nothing of its class be kept."""
        names = [group if group is not None else f"image {index}" for index, group in enumerate(self.groups)]
        for label in set(self.train.labels):
            own = [index for index, one in enumerate(self.train.labels) if one == label]
            if len({names[index] for index in own}) == 1:
                for index in own:
                    names[index] = f"image {index}"
        return names

    def _without(self, held_out: Sequence[int]) -> "Development":
        kept = sorted(set(range(len(self.train))) - set(held_out))
        place = {index: number for number, index in enumerate(kept)}
        usable = [number for number, own in enumerate(self.sources) if all(source in place for source in own)]
        return replace(
            self,
            train=self.train.taken(kept),
            validation=self.train.taken(held_out),
            synthetic=self.synthetic.taken(usable),
            sources=[[place[source] for source in self.sources[number]] for number in usable],
            groups=[self.groups[index] for index in kept],
        )


@dataclass(frozen=True)
class RecognitionData:
    """``test`` gives the test images; it is called once, when the ratio has been chosen."""

    development: Development
    test: Callable[[], Labelled]


def checked_test(test: Labelled, development: Development) -> Labelled:
    """``test`` itself. Raises `DatasetUnusable` where a class has no image, or an image was trained or chosen with.

    A synthetic image that equals one counts as well: whatever drew it has seen the test.
    """
    development.require(test, MIN_TEST_IMAGES, "test")
    developed = (development.train, development.validation, development.synthetic)
    known = {_fingerprint(image) for images in developed for image in images.images}
    seen = sum(_fingerprint(image) in known for image in test.images)
    if seen:
        raise DatasetUnusable(
            f"{seen} test images are also among the train, validation or synthetic images.",
            field="test", remedy="Remove them from one of the splits: a test on seen images proves nothing.",
        )  # fmt: skip
    return test


def twins(images: Labelled, class_names: Sequence[str], split: str) -> list[str]:
    """Notes on pictures of a ``split`` that stand in two classes: nobody can tell such classes apart."""
    classes: dict[str, set[str]] = {}
    for image, label in zip(images.images, images.labels, strict=True):
        classes.setdefault(_fingerprint(image), set()).add(class_names[label])
    pairs = Counter(tuple(sorted(names)) for names in classes.values() if len(names) > 1)
    return [
        f"{f'1 {split} image stands' if number == 1 else f'{number} {split} images stand'} in several classes "
        f"({', '.join(names)}): nobody can tell which is right."
        for names, number in sorted(pairs.items())
    ]


def _fingerprint(image: Image.Image) -> str:
    """Of size and colours as the classifier sees them: a grey picture equals its copy with three equal channels."""
    return hashlib.sha256(f"{image.size}".encode() + eight_bit(image).convert("RGB").tobytes()).hexdigest()


def as_tensor(images: Labelled, size_px: int) -> torch.Tensor:
    """(N, 3, size_px, size_px) float32 in [-1, 1]; grey pictures as three equal channels."""
    if not len(images):
        return torch.zeros((0, 3, size_px, size_px))
    return torch.stack([to_tensor(image, size_px, FitPolicy.RESIZE) for image in images.images])
