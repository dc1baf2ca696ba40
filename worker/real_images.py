"""A class's real images as jobs need them. What is computed of them does not depend on the job, and is kept."""

from collections.abc import Sequence

from PIL import Image

from models.diffusion.base_model import BaseModel
from models.evaluation.copies import CopyGate
from models.evaluation.features import FeatureExtractor
from models.generation.engine import Sources, encode_sources
from models.imaging.fit import FitPolicy
from service.store.artifacts import ArtifactStore
from worker.workshop import Workshop
from worker.workspace import load_images


class StoredImages(Sequence[Image.Image]):
    """Stored images, each opened when it is asked for: a job looks at few of many, and all may be more than fits.

    Opening raises `ArtifactMissing`, `ArtifactDamaged` and `DatasetUnusable`.
    """

    def __init__(self, artifacts: ArtifactStore, digests: Sequence[str]) -> None:
        self._artifacts = artifacts
        self._digests = tuple(digests)

    def __len__(self) -> int:
        return len(self._digests)

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]  # No slices: they would open many.
        return load_images(self._artifacts, [self._digests[index]])[0]


def sources_of(workshop: Workshop, base: BaseModel, digests: Sequence[str], fit: FitPolicy) -> Sources:
    """The images that generation starts from; what was encoded for an earlier job is not encoded again."""
    return encode_sources(
        base, StoredImages(workshop.artifacts, digests), fit,
        lambda index, make: workshop.latents.get((base.identity, fit, digests[index]), make),
    )  # fmt: skip


def copy_gate_of(
    workshop: Workshop, extractor: FeatureExtractor, digests: Sequence[str], percentile: float = 5.0
) -> CopyGate:
    """See `CopyGate.fit`: ``digests`` are of all images that could be copied."""

    def fitted() -> CopyGate:
        images = load_images(workshop.artifacts, digests)
        return CopyGate.fit(images, workshop.features.features(extractor, digests), percentile)

    return workshop.copy_gates.get((extractor.digest, percentile, *digests), fitted)
