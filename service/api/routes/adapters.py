"""Adapters: what adaptations make. Their archive opens in stock diffusers."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.dependencies import PageOf, PartsOf, Tenant
from service.api.presenting import adapter_view
from service.api.responses import artifact_response, stored
from service.api.views import AdapterView, PageView
from service.contracts.datasets import ClassName
from service.store import adapters
from service.store.deletion import delete_adapter
from service.store.tombstones import Deletion

router = APIRouter(prefix="/v1/adapters", tags=["adapters"])


@router.get("")
def list_adapters(
    parts: PartsOf, tenant: Tenant, page: PageOf, class_name: Annotated[ClassName | None, Query()] = None
) -> PageView[AdapterView]:
    """Adapters, newest first."""
    with parts.database.reading() as session:
        found = adapters.page(session, tenant, class_name, page)
    return PageView(items=[adapter_view(row) for row in found.items], next_cursor=found.next_cursor)


@router.get("/{adapter_id}")
def get_adapter(adapter_id: str, parts: PartsOf, tenant: Tenant) -> AdapterView:
    """One adapter."""
    with parts.database.reading() as session:
        return adapter_view(adapters.get(session, tenant, adapter_id))


@router.get(
    "/{adapter_id}/archive",
    response_class=Response,
    responses=stored("application/zip", "adapter.json and safetensors."),
)
def get_adapter_archive(adapter_id: str, request: Request, parts: PartsOf, tenant: Tenant) -> Response:
    """The adapter's files as a zip."""
    with parts.database.reading() as session:
        row = adapters.get(session, tenant, adapter_id)
    filename = f"{row.class_name}-{row.id}.zip"
    return artifact_response(request, parts.artifacts, row.archive_sha256, "application/zip", filename)


@router.delete(
    "/{adapter_id}",
    status_code=204,
    responses={409: {"description": "An unfinished generation needs it."}},
)
def remove_adapter(adapter_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete an adapter; what it generated stays."""
    delete_adapter(parts.database, tenant, adapter_id, Deletion(parts.clock()))
