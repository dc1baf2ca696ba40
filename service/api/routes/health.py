"""Health: is this process alive, and can it take work?"""

from collections.abc import Callable
from datetime import timedelta

from fastapi import APIRouter
from starlette.responses import Response

from service.api.dependencies import Parts, PartsOf
from service.api.views import ReadyView
from service.logs import get_logger
from service.store import workers

router = APIRouter(prefix="/health", tags=["health"])
_log = get_logger()
_WORKER_SEEN_WITHIN = timedelta(seconds=30)


@router.get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready", responses={503: {"model": ReadyView, "description": "The database or the files cannot be used."}})
def ready(response: Response, parts: PartsOf) -> ReadyView:
    """`ready` or `degraded` with 200, `unready` with 503. Without a worker, work is accepted and waits."""
    checks = {
        "database": _checked("database", parts.database.ping),
        "files": _checked("files", parts.artifacts.check_writable),
    }
    usable = all(told == "ok" for told in checks.values())
    checks["worker"] = _worker(parts) if usable else "unknown"
    if parts.check_broker is not None:
        checks["broker"] = _checked("broker", parts.check_broker)
    if not usable:
        response.status_code = 503
        return ReadyView(status="unready", checks=checks)
    return ReadyView(status="ready" if set(checks.values()) == {"ok"} else "degraded", checks=checks)


def _checked(name: str, check: Callable[[], None]) -> str:
    """What went wrong stays in the log: it may name hosts and paths."""
    try:
        check()
    except Exception as error:  # whatever a database, disk or broker raises, the answer is the same
        _log.warning("health.failed", check=name, error=str(error))
        return "failed"
    return "ok"


def _worker(parts: Parts) -> str:
    with parts.database.reading() as session:
        seen = workers.num_seen(session, parts.clock(), _WORKER_SEEN_WITHIN)
    return "ok" if seen else "none seen lately"
