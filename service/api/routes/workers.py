"""Workers: who does the work, as far as each tenant may know."""

from fastapi import APIRouter

from service.api.dependencies import PartsOf, Tenant
from service.api.views import PageView
from service.api.worker_views import WorkerView, worker_views
from service.readiness import WORKER_SEEN_WITHIN
from service.store import workers

router = APIRouter(prefix="/v1", tags=["workers"])


@router.get("/workers")
def list_workers(parts: PartsOf, tenant: Tenant) -> PageView[WorkerView]:
    """All workers that reported within the last half minute, whoever they work for."""
    with parts.database.reading() as session:
        found = workers.rows(session, parts.clock(), WORKER_SEEN_WITHIN)
        return PageView(items=worker_views(session, tenant, found))
