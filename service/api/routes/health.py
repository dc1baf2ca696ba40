"""Health: is this process alive, and can it take work?"""

from fastapi import APIRouter
from starlette.responses import Response

from service.api.dependencies import PartsOf
from service.api.views import ReadyView
from service.readiness import FINE, VITAL

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready", responses={503: {"model": ReadyView, "description": "The database or the files cannot be used."}})
def ready(response: Response, parts: PartsOf) -> ReadyView:
    """`ready` or `degraded` with 200, `unready` with 503. Without a worker, work is accepted and waits."""
    found = parts.readiness.findings()
    wrong = {name: finding for name, finding in found.items() if finding != FINE}
    status = "unready" if wrong.keys() & VITAL else "degraded" if wrong else "ready"
    if status == "unready":
        response.status_code = 503
    return ReadyView(
        status=status,
        checks={name: finding.told for name, finding in found.items()},
        remedies={name: finding.remedy for name, finding in wrong.items() if finding.remedy},
    )
