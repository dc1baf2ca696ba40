"""Which queued jobs a worker may run together with one that it has taken up."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contracts.ids import AdapterId
from service.contracts.jobs import JobKind
from service.store.tables import AdapterRow, JobRow


@dataclass(frozen=True)
class Beside:
    """What a worker may run beside the generation by ``adapter_id``: a generation by an adapter of its base model.

    It was submitted before ``submitted_before``, so that it is not taken from a worker that is idle. And it was never
    tried before: a job that was lost with its worker may be why the worker died.
    """

    adapter_id: AdapterId
    submitted_before: datetime

    def suits(self, session: Session, job: JobRow) -> bool:
        """Whether ``job``, which is queued, is one."""
        if job.kind != JobKind.GENERATION or job.attempts > 0 or job.created_at > self.submitted_before:
            return False
        pair = select(AdapterRow.base_model).where(AdapterRow.id.in_([self.adapter_id, job.adapter_id]))
        models = session.scalars(pair).all()
        return len(set(models)) == 1 and (len(models) == 2 or self.adapter_id == job.adapter_id)
