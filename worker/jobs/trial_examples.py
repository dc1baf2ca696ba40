"""Images of each trial that people look at: made small, stored with their lineage, and known to the record."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image
from sqlalchemy.orm import Session

from models.generation.engine import Sample
from models.search.trials import Trial
from service.contracts.adaptations import AdaptationParams
from service.contracts.datasets import ImageRecord
from service.contracts.ids import TenantId
from service.contracts.search import TrialExample
from service.store import trial_examples
from service.store.artifacts import ArtifactStore
from worker.lineage import SYNTHETIC_XMP, png_bytes, software

#: The longest side: enough to see a defect by, and a few hundredths of a second to store a trial's.
EXAMPLE_PX = 256


@dataclass
class Examples:
    """The examples of one search's trials, of earlier attempts and this one. ``sources``: what samples count in.

    ``base_model``: its identity, with the precision that it computes in.
    """

    artifacts: ArtifactStore
    tenant_id: TenantId
    params: AdaptationParams
    base_model: str
    sources: Sequence[ImageRecord]
    kept: list[TrialExample] = field(default_factory=list)

    def go_on(self, session: Session, num_trials: int) -> None:
        """Begin with what an earlier attempt stored of its first ``num_trials`` trials."""
        found = trial_examples.of_adaptation(session, self.tenant_id, self.params.adaptation_id)
        self.kept = [one for one in found.get(self.params.class_name, []) if one.trial < num_trials]

    def add(self, trial: Trial, samples: Sequence[Sample]) -> None:
        """Store a trial's examples. Raises ``StorageFull``."""
        self.kept += [self._stored(trial, sample) for sample in samples]

    def publish(self, session: Session) -> None:
        """Write the rows of all of them: what an earlier transaction could not write is made up for."""
        trial_examples.replace(session, self.tenant_id, self.params.adaptation_id, self.params.class_name, self.kept)

    def _stored(self, trial: Trial, sample: Sample) -> TrialExample:
        source, second = (
            self.sources[index] if index is not None else None
            for index in (sample.source_index, sample.second_source_index)
        )
        image = sample.image.copy()
        image.thumbnail((EXAMPLE_PX, EXAMPLE_PX), Image.Resampling.LANCZOS)
        stored = self.artifacts.put_bytes(png_bytes(image, self._lineage(trial, sample, source, second), SYNTHETIC_XMP))
        return TrialExample(
            trial=trial.number,
            number=sample.index,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            width_px=image.width,
            height_px=image.height,
            seed=sample.seed,
            source_image_id=source.id if source else None,
            second_source_image_id=second.id if second else None,
        )

    def _lineage(
        self, trial: Trial, sample: Sample, source: ImageRecord | None, second: ImageRecord | None
    ) -> dict[str, object]:
        tried = trial.candidate
        return {
            "synthetic": "true",
            "software": software(),
            "class_name": self.params.class_name,
            "adaptation_id": self.params.adaptation_id,
            "base_model": self.base_model,
            "trial": trial.number,
            "checkpoint": tried.checkpoint,
            "strength": tried.strength,
            "guidance_scale": tried.guidance_scale,
            "lora_scale": tried.lora_scale,
            "num_inference_steps": tried.num_inference_steps,
            "seed": sample.seed,
            "splice_sources": tried.splice_sources,
            "source_sha256": source.sha256 if source else "none",
            "second_source_sha256": second.sha256 if second else "none",
        }
