"""What every job is done with: the record, the artefacts, the resident models and the scratch folders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from models.evaluation.class_gate import ClassGate
from models.evaluation.copies import CopyGate
from models.generation.denoising import Denoiser, denoise
from service.contracts.recognitions import SMALL_RESNET
from service.registry import ClassifierEntry
from service.store.artifacts import ArtifactStore
from service.store.database import Database
from service.store.leases import ClaimedJob
from worker.credentials import Sign, unsigned
from worker.feature_cache import FeatureCache
from worker.metrics import Observe, unobserved
from worker.recent import Recent
from worker.residents import Residents
from worker.workspace import Workspace


@dataclass(frozen=True)
class Workshop:
    """One process's; ``work_dir`` holds a scratch folder for each unfinished job.

    ``checkpoint_seconds``: how much work a killed job may lose. ``classifiers``: by name; one without an entry starts
    from random weights. ``sign``: what each synthetic PNG goes through before it is stored. ``denoiser``: alone, or
    together with the generations of other threads. The gates and ``latents`` are of real images, see `real_images`.
    """

    database: Database
    artifacts: ArtifactStore
    residents: Residents
    features: FeatureCache
    work_dir: Path
    checkpoint_seconds: float = 10.0
    classifiers: Mapping[str, ClassifierEntry | None] = field(default_factory=lambda: {SMALL_RESNET: None})
    observe: Observe = unobserved
    sign: Sign = unsigned
    denoiser: Denoiser = denoise
    copy_gates: Recent[CopyGate] = field(default_factory=lambda: Recent(128 * 2**20, lambda gate: gate.nbytes))
    class_gates: Recent[ClassGate] = field(default_factory=lambda: Recent(16 * 2**20, lambda gate: gate.nbytes))
    latents: Recent[torch.Tensor] = field(default_factory=lambda: Recent(64 * 2**20, lambda latents: latents.nbytes))

    def workspace(self, job: ClaimedJob) -> Workspace:
        """The job's scratch folder, in the hands of this holder."""
        return Workspace(self.work_dir, job.id, job.fencing_token)
