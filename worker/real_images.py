"""A class's real images as jobs need them. What is computed of them does not depend on the job, and is kept."""

from collections.abc import Callable, Sequence

from models.diffusion.base_model import BaseModel
from models.evaluation.class_gate import ClassGate
from models.evaluation.copies import CopyGate
from models.evaluation.features import FeatureExtractor, Features
from models.generation.engine import Sources, encode_sources
from models.imaging.fit import FitPolicy
from service.contracts.datasets import ImageRecord
from service.contracts.quality import CopySummary
from worker.workshop import Workshop
from worker.workspace import StoredImages, load_images

#: Images that are opened and judged at once.
_JUDGED = 32


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


def copies_among(
    workshop: Workshop, extractor: FeatureExtractor, digests: Sequence[str], features: Features, real: Sequence[str],
    each: Callable[[], None] = lambda: None,
) -> CopySummary:  # fmt: skip
    """How many of the stored images, with ``features`` (n, d), are copies of one of the ``real`` ones, as the copy gate
    has it; ``each`` is called for every image. Raises `DatasetUnusable` for no real image.
    """
    gate, num_copies = copy_gate_of(workshop, extractor, real), 0
    for first in range(0, len(digests), _JUDGED):
        images = load_images(workshop.artifacts, digests[first : first + _JUDGED])
        verdicts = gate.judge(images, features[first : first + _JUDGED], [()] * len(images))
        num_copies += sum(verdict.is_copy for verdict in verdicts)
        for _ in images:
            each()
    return CopySummary(threshold=gate.feature_threshold, num_checked=len(digests), num_copies=num_copies)


def class_gate_of(workshop: Workshop, extractor: FeatureExtractor, records: Sequence[ImageRecord]) -> ClassGate:
    """See `ClassGate.fit`: ``records`` are of all classes. Jobs of one dataset version share it."""
    by_class: dict[str, list[ImageRecord]] = {}
    for record in records:
        by_class.setdefault(record.class_name, []).append(record)

    def fitted() -> ClassGate:
        features = {
            name: workshop.features.features(extractor, [record.sha256 for record in of_it])
            for name, of_it in sorted(by_class.items())
        }
        return ClassGate.fit(features, {name: [record.group for record in of_it] for name, of_it in by_class.items()})

    known_by = [(record.class_name, record.sha256, record.group) for record in records]
    return workshop.class_gates.get((extractor.digest, *known_by), fitted)
