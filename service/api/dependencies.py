"""What routes are given: the parts of the application, the tenant, a page request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Query, Request

from service.api.origins import READING, refuse_other_origins
from service.api.streams import Streams
from service.contracts.ids import DEFAULT_TENANT, TenantId
from service.contracts.keys import Principal, Scope
from service.errors import Forbidden, Unauthorized
from service.fair_slots import FairSlots
from service.intake import Intake
from service.keys import KeyRing
from service.metrics import ApiMetrics
from service.preflight import Preflights
from service.quotas import Quotas, RateLimits
from service.readiness import Readiness
from service.recognising import Recognising
from service.registry import Registry
from service.settings import Settings
from service.store.artifacts import ArtifactStore
from service.store.database import Database
from service.store.pages import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageRequest
from service.submission import Submission
from service.thumbnails import Thumbnails
from service.topping_up import ToppingUp
from service.webhooks import Webhooks


@dataclass(frozen=True)
class Parts:
    """Everything that the composition root made. ``*_slots`` bound what is decoded at once."""

    settings: Settings
    database: Database
    artifacts: ArtifactStore
    intake: Intake
    submission: Submission
    preflights: Preflights
    topping_up: ToppingUp
    recognising: Recognising
    webhooks: Webhooks
    registry: Registry
    clock: Callable[[], datetime]
    upload_slots: FairSlots
    thumbnails: Thumbnails
    thumbnail_slots: CapacityLimiter
    keys: KeyRing
    rates: RateLimits
    quotas: Quotas
    readiness: Readiness
    metrics: ApiMetrics
    streams: Streams


async def parts_of_app(request: Request) -> Parts:
    """The application's parts."""
    return cast(Parts, request.app.state.parts)


_NOBODY_ASKED = Principal(DEFAULT_TENANT, None, frozenset({Scope.ADMIN}))
#: What a browser that signed in sends; made by the page's login, and good wherever a key is.
SESSION_COOKIE = "defectsynth_session"


async def principal_of_key(request: Request) -> Principal:
    """Who sends the request. Raises ``Unauthorized``."""
    parts = cast(Parts, request.app.state.parts)
    if not parts.settings.demands_keys:
        refuse_other_origins(request, must_tell=False)
        return _NOBODY_ASKED
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    if given:
        remembered = parts.keys.remembered(given)
        return remembered if remembered is not None else await to_thread.run_sync(parts.keys.authenticate, given)
    session = request.cookies.get(SESSION_COOKIE, "")
    if not session:
        raise Unauthorized("no key was sent")
    refuse_other_origins(request, must_tell=True)
    remembered = parts.keys.remembered(session)
    return remembered if remembered is not None else await to_thread.run_sync(parts.keys.authenticate_session, session)


async def tenant_of_key(request: Request) -> TenantId:
    """The tenant whose key was sent, where the key may do this and has not sent too much.

    Raises ``Unauthorized``, ``Forbidden`` and ``QuotaExceeded``.
    """
    # Not by Depends, which costs each request more than looking at a remembered key again where a route wants to know.
    principal = await principal_of_key(request)
    scope = Scope.READ if request.method in READING else Scope.WRITE
    if not principal.may(scope):
        raise Forbidden(f"the key lacks the scope {scope.value!r}")
    await cast(Parts, request.app.state.parts).rates.count_request(principal)
    return principal.tenant_id


async def page_request(
    cursor: Annotated[str | None, Query(description="'next_cursor' of the page before.", max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = DEFAULT_PAGE_SIZE,
) -> PageRequest:
    """The page that is asked for."""
    return PageRequest(cursor, limit)


PartsOf = Annotated[Parts, Depends(parts_of_app)]
PrincipalOf = Annotated[Principal, Depends(principal_of_key)]
Tenant = Annotated[TenantId, Depends(tenant_of_key)]
PageOf = Annotated[PageRequest, Depends(page_request)]
