"""What routes are given: the parts of the application, the tenant, a page request."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from anyio import CapacityLimiter
from fastapi import Depends, Query, Request

from service.contracts.ids import DEFAULT_TENANT, TenantId
from service.errors import Unauthorized
from service.intake import Intake
from service.recognising import Recognising
from service.registry import Registry
from service.settings import Settings
from service.store.artifacts import ArtifactStore
from service.store.database import Database
from service.store.pages import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageRequest
from service.submission import Submission
from service.webhooks import Webhooks


@dataclass(frozen=True)
class Parts:
    """Everything that the composition root made. ``upload_slots`` bounds the uploads decoded at once."""

    settings: Settings
    database: Database
    artifacts: ArtifactStore
    intake: Intake
    submission: Submission
    recognising: Recognising
    webhooks: Webhooks
    registry: Registry
    clock: Callable[[], datetime]
    upload_slots: CapacityLimiter
    check_broker: Callable[[], None] | None


async def parts_of_app(request: Request) -> Parts:
    """The application's parts."""
    return cast(Parts, request.app.state.parts)


async def tenant_of_key(request: Request) -> TenantId:
    """The tenant whose key was sent; the default one where no key is set. Raises ``Unauthorized``."""
    admin_key = cast(Parts, request.app.state.parts).settings.admin_key
    if admin_key is None:
        return DEFAULT_TENANT
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    if not given:
        raise Unauthorized("no key was sent")
    if not secrets.compare_digest(given.encode(), admin_key.get_secret_value().encode()):
        raise Unauthorized("the key is not valid")
    return DEFAULT_TENANT


async def page_request(
    cursor: Annotated[str | None, Query(description="'next_cursor' of the page before.", max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = DEFAULT_PAGE_SIZE,
) -> PageRequest:
    """The page that is asked for."""
    return PageRequest(cursor, limit)


PartsOf = Annotated[Parts, Depends(parts_of_app)]
Tenant = Annotated[TenantId, Depends(tenant_of_key)]
PageOf = Annotated[PageRequest, Depends(page_request)]
