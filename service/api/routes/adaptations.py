"""Adaptations: a base model is adapted to classes of a dataset, one job and one adapter a class."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.openapi.models import Example
from starlette.responses import Response

from service.api.dependencies import PageOf, PartsOf, Tenant
from service.api.idempotency import OnceOf
from service.api.presenting import adaptation_view
from service.api.responses import THUMBNAIL, SizeOf, artifact_response, stored, thumbnail_response, view_response
from service.api.views import AdaptationView, PageView
from service.contracts.preflight import Preflight
from service.contracts.requests import AdaptationRequest
from service.store import adaptations, trial_examples
from service.store.deletion import delete_adaptation
from service.store.tombstones import Deletion
from service.thumbnails import ThumbnailSize

router = APIRouter(prefix="/v1/adaptations", tags=["adaptations"])


_EXAMPLES = {
    "all classes": Example(value={"dataset_id": "ds_1b2c3d4e5f60718293a4b5c6d7e8f90a"}),
    "one class, longer": Example(
        value={
            "dataset_id": "ds_1b2c3d4e5f60718293a4b5c6d7e8f90a",
            "classes": ["scratches"],
            "base_model": "mini",
            "settings": {"lora": {"steps": 600, "rank": 32}, "seed": 7},
        }
    ),
}


@router.post(
    "",
    status_code=202,
    response_model=AdaptationView,
    responses={
        200: {"model": Preflight, "description": "`dry_run`: what it would meet and take; nothing was queued."},
        404: {"description": "No such dataset or version."},
        429: {"description": "The queue is full."},
    },
)
def create_adaptation(
    request: Annotated[AdaptationRequest, Body(openapi_examples=_EXAMPLES)],
    once: OnceOf,
    parts: PartsOf,
    tenant: Tenant,
    dry_run: Annotated[
        bool, Query(description="Tell faults, seconds with an interval, memory and a verdict; queue nothing.")
    ] = False,
) -> Response:
    """Queue one adaptation job a class; or, with `dry_run`, only look ahead. Both refuse the same requests."""
    if dry_run:
        return view_response(parts.preflights.look(tenant, request), {"Cache-Control": "no-store"})
    make = partial(parts.submission.adapt, tenant, request)
    return once.accept(request, "/v1/adaptations", 2, make, adaptation_view)


@router.get("")
def list_adaptations(parts: PartsOf, tenant: Tenant, page: PageOf) -> PageView[AdaptationView]:
    """Adaptations, newest first."""
    with parts.database.reading() as session:
        found = adaptations.page(session, tenant, page)
        views = [adaptation_view(session, tenant, row) for row in found.items]
    return PageView(items=views, next_cursor=found.next_cursor)


@router.get("/{adaptation_id}")
def get_adaptation(adaptation_id: str, parts: PartsOf, tenant: Tenant) -> AdaptationView:
    """An adaptation with its jobs (loss curves when they have succeeded) and adapters."""
    with parts.database.reading() as session:
        return adaptation_view(session, tenant, adaptations.get(session, tenant, adaptation_id))


@router.head("/{adaptation_id}/classes/{class_name}/trials/{trial}/examples/{number}", include_in_schema=False)
@router.get(
    "/{adaptation_id}/classes/{class_name}/trials/{trial}/examples/{number}",
    response_class=Response,
    responses=stored("image/png", "A PNG."),
)
def get_trial_example(
    adaptation_id: str,
    class_name: str,
    trial: Annotated[int, Path(ge=0, lt=2**31)],
    number: Annotated[int, Path(ge=0, lt=2**31)],
    request: Request,
    parts: PartsOf,
    tenant: Tenant,
) -> Response:
    """One of the images that a trial of the search made, small; images of one number differ by their settings alone."""
    with parts.database.reading() as session:
        example = trial_examples.one(session, tenant, adaptation_id, class_name, trial, number)
    return artifact_response(request, parts.artifacts, example.sha256, "image/png")


@router.head(
    "/{adaptation_id}/classes/{class_name}/trials/{trial}/examples/{number}/thumbnail", include_in_schema=False
)
@router.get(
    "/{adaptation_id}/classes/{class_name}/trials/{trial}/examples/{number}/thumbnail",
    response_class=Response,
    responses=THUMBNAIL,
)
async def get_trial_example_thumbnail(
    adaptation_id: str,
    class_name: str,
    trial: Annotated[int, Path(ge=0, lt=2**31)],
    number: Annotated[int, Path(ge=0, lt=2**31)],
    request: Request,
    parts: PartsOf,
    tenant: Tenant,
    size: SizeOf = ThumbnailSize.SMALL,
) -> Response:
    """The same image as a JPEG, for a page."""

    def digest() -> str:
        with parts.database.reading() as session:
            return trial_examples.one(session, tenant, adaptation_id, class_name, trial, number).sha256

    return await thumbnail_response(request, parts, size, digest)


@router.delete(
    "/{adaptation_id}",
    status_code=204,
    responses={409: {"description": "It has an adapter or an unfinished job."}},
)
def remove_adaptation(adaptation_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete an adaptation with its jobs; its adapters must be deleted first."""
    delete_adaptation(parts.database, tenant, adaptation_id, Deletion(parts.clock()))
