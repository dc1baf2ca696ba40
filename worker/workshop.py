"""What every job is done with: the record, the artefacts, the resident models and the scratch folders."""

from dataclasses import dataclass
from pathlib import Path

from service.contracts.ids import JobId
from service.store.artifacts import ArtifactStore
from service.store.database import Database
from worker.feature_cache import FeatureCache
from worker.residents import Residents
from worker.workspace import Workspace


@dataclass(frozen=True)
class Workshop:
    """One process's; ``work_dir`` holds a scratch folder for each unfinished job."""

    database: Database
    artifacts: ArtifactStore
    residents: Residents
    features: FeatureCache
    work_dir: Path

    def workspace(self, job_id: JobId) -> Workspace:
        """The job's scratch folder."""
        return Workspace(self.work_dir, job_id)
