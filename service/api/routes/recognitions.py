"""Recognitions: whether a generation's images help a classifier, measured on test images that nothing has seen."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body
from fastapi.openapi.models import Example
from starlette.responses import Response

from service.api.dependencies import PageOf, PartsOf, Tenant
from service.api.idempotency import OnceOf
from service.api.presenting import recognition_report, recognition_view
from service.api.views import PageView, RecognitionReport, RecognitionView
from service.contracts.requests import RecognitionRequest
from service.store import jobs, recognitions
from service.store.deletion import delete_recognition
from service.store.tombstones import Deletion

router = APIRouter(prefix="/v1/recognitions", tags=["recognitions"])

_NAMED = {
    "dataset_id": "ds_1b2c3d4e5f60718293a4b5c6d7e8f90a",
    "generation_id": "gen_3d4e5f60718293a4b5c6d7e8f90a1b2c",
}
_EXAMPLES = {
    "all classes": Example(value=_NAMED),
    "two classes, more seeds": Example(
        value={**_NAMED, "classes": ["pits", "scratches"], "settings": {"ratios": [1, 4], "num_seeds": 10}}
    ),
}


@router.post(
    "",
    status_code=202,
    response_model=RecognitionView,
    responses={
        404: {"description": "No such dataset or generation."},
        409: {"description": "The generation has not finished, or its adapter was deleted."},
        429: {"description": "The queue is full."},
    },
)
def create_recognition(
    request: Annotated[RecognitionRequest, Body(openapi_examples=_EXAMPLES)],
    once: OnceOf,
    parts: PartsOf,
    tenant: Tenant,
) -> Response:
    """Queue the training of classifiers on real images, on augmented ones, and on these with synthetic ones beside
    them; compare them on the dataset's test split. The share of synthetic images is chosen on the validation split."""
    make = partial(parts.recognising.recognise, tenant, request)
    return once.accept(request, "/v1/recognitions", 5, make, recognition_view)


@router.get("")
def list_recognitions(parts: PartsOf, tenant: Tenant, page: PageOf) -> PageView[RecognitionView]:
    """Recognitions, newest first."""
    with parts.database.reading() as session:
        found = recognitions.page(session, tenant, page)
        views = [recognition_view(session, tenant, row) for row in found.items]
    return PageView(items=views, next_cursor=found.next_cursor)


@router.get("/{recognition_id}")
def get_recognition(recognition_id: str, parts: PartsOf, tenant: Tenant) -> RecognitionView:
    """A recognition, with its result when it has succeeded."""
    with parts.database.reading() as session:
        return recognition_view(session, tenant, recognitions.get(session, tenant, recognition_id))


@router.get("/{recognition_id}/report")
def get_report(recognition_id: str, parts: PartsOf, tenant: Tenant) -> RecognitionReport:
    """The verdict and the figures it stands on; null until the job has succeeded."""
    with parts.database.reading() as session:
        row = recognitions.get(session, tenant, recognition_id)
        return recognition_report(row, jobs.of_resources(session, tenant, [row.id]))


@router.delete(
    "/{recognition_id}",
    status_code=204,
    responses={409: {"description": "Its job has not finished."}},
)
def remove_recognition(recognition_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete a recognition with its job."""
    delete_recognition(parts.database, tenant, recognition_id, Deletion(parts.clock()))
