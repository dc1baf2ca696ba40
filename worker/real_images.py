"""A class's real images as jobs need them. What is computed of them does not depend on the job, and is kept."""

from collections.abc import Sequence

from models.diffusion.base_model import BaseModel
from models.evaluation.copies import CopyGate
from models.evaluation.features import FeatureExtractor
from models.generation.engine import Sources, encode_sources
from models.imaging.fit import FitPolicy
from worker.workshop import Workshop
from worker.workspace import StoredImages


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
        images = StoredImages(workshop.artifacts, digests)
        return CopyGate.fit(images, workshop.features.features(extractor, digests), percentile)

    return workshop.copy_gates.get((extractor.digest, percentile, *digests), fitted)
