"""What a recognition is trained and tested on: which images, of which class, made from which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models.errors import DatasetUnusable
from service.contracts.datasets import ImageRecord, Split
from service.contracts.generations import GeneratedImage
from service.contracts.ids import TenantId
from service.contracts.recognitions import RecognitionParams
from service.store import datasets, generations


@dataclass(frozen=True)
class Made:
    """A synthetic image; ``sources``: indices of the train images it was made from, none for one from noise."""

    image: GeneratedImage
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Inputs:
    """Real images of each split, and the synthetic ones, of ``classes`` alone and in an order that every worker has."""

    classes: tuple[str, ...]
    splits: dict[Split, list[ImageRecord]]
    synthetic: list[Made]
    notes: list[str]

    def counts(self) -> dict[str, dict[Split, int]]:
        """Real images by class and split."""
        found = {split: Counter(one.class_name for one in records) for split, records in self.splits.items()}
        return {name: {split: found[split][name] for split in Split} for name in self.classes}

    def synthetic_counts(self) -> dict[str, int]:
        """Synthetic images by class."""
        found = Counter(one.image.class_name for one in self.synthetic)
        return {name: found[name] for name in self.classes}


def read_inputs(session: Session, tenant: TenantId, params: RecognitionParams) -> Inputs:
    """Raises `DatasetUnusable` where a class has no synthetic image that may be used."""
    records = [
        record
        for record in datasets.images_of(session, tenant, params.dataset_version_id)
        if record.class_name in params.classes
    ]
    splits = {split: [record for record in records if record.split is split] for split in Split}
    rejected = {name: set(numbers) for name, numbers in params.rejected.items()}
    images = [
        image
        for image in generations.images_of(session, tenant, params.generation_id)
        if image.class_name in params.classes and image.number not in rejected.get(image.class_name, ())
    ]
    sources = datasets.images_by_id(session, tenant, {one for image in images for one in image.source_image_ids})
    made, notes = _traced(images, splits[Split.TRAIN], {id: record.sha256 for id, record in sources.items()})
    inputs = Inputs(tuple(params.classes), splits, made, notes)
    for name, number in inputs.synthetic_counts().items():
        if number == 0:
            raise DatasetUnusable(
                f"Class {name!r} has no synthetic image that was made from a train image of this dataset version.",
                field="dataset_version_id",
                remedy="Name the version that its adapter was trained on, or adapt and generate again.",
            )
    return inputs


def _traced(
    images: Sequence[GeneratedImage], train: Sequence[ImageRecord], digests: dict[str, str]
) -> tuple[list[Made], list[str]]:
    """Each image with its sources' places in ``train``; those made from anything else would tell what no arm may know.

    A source is found by its bytes too: a later version holds the same picture under another id.
    """
    by_id = {str(record.id): index for index, record in enumerate(train)}
    by_digest = {(record.class_name, str(record.sha256)): index for index, record in enumerate(train)}
    made, strange = [], 0
    for image in images:
        digest_of = {one: digests.get(one, "") for one in image.source_image_ids}
        found = [by_id.get(one, by_digest.get((image.class_name, digest))) for one, digest in digest_of.items()]
        if None in found:
            strange += 1
        else:
            made.append(Made(image, tuple(one for one in found if one is not None)))
    if not strange:
        return made, []
    left_out = "1 synthetic image was" if strange == 1 else f"{strange} synthetic images were"
    return made, [f"{left_out} left out: made from real images that are no train images of this dataset version."]
