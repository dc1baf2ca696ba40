"""What clients get to see of workers, and from rows to it."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field
from sqlalchemy.orm import Session

from service.api.views import Links, View
from service.contracts.ids import TenantId
from service.contracts.jobs import JobKind
from service.store import workers
from service.store.tables import JobRow, WorkerRow


class WorkedOnView(View):
    """A job that a worker is busy with."""

    id: str
    kind: JobKind
    class_name: str
    links: Links


class WorkerView(View):
    """A worker process. ``job`` and ``resident_adapter_id`` are told where they are the caller's own."""

    id: str = Field(examples=["gpu-3-4711-5fa2c9"])
    device: str = Field(examples=["cuda"])
    is_busy: bool
    job: WorkedOnView | None
    resident_adapter_id: str | None
    seen_at: datetime
    looked_for_work_at: datetime | None


def worker_views(session: Session, tenant_id: TenantId, rows: Sequence[WorkerRow]) -> list[WorkerView]:
    """Workers as one tenant may see them."""
    own = workers.owned_by(session, tenant_id, rows)
    return [
        WorkerView(
            id=row.id,
            device=row.device,
            is_busy=row.job_id is not None,
            job=_worked_on(own.jobs[row.job_id]) if row.job_id in own.jobs else None,
            resident_adapter_id=row.resident_adapter_id if row.resident_adapter_id in own.adapter_ids else None,
            seen_at=row.seen_at,
            looked_for_work_at=row.looked_at,
        )
        for row in rows
    ]


def _worked_on(job: JobRow) -> WorkedOnView:
    links = {"self": f"/v1/jobs/{job.id}", "resource": JobKind(job.kind).path_of(job.resource_id)}
    return WorkedOnView(id=job.id, kind=JobKind(job.kind), class_name=job.class_name, links=links)
