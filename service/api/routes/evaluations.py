"""Evaluations: a quality report of any image set against real images."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body
from fastapi.openapi.models import Example
from starlette.responses import Response

from service.api.dependencies import PageOf, PartsOf, Tenant
from service.api.idempotency import OnceOf
from service.api.presenting import evaluation_view
from service.api.views import EvaluationView, PageView
from service.contracts.evaluations import EvaluationRequest
from service.store import evaluations
from service.store.deletion import delete_evaluation
from service.store.tombstones import Deletion

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])


_REAL = {
    "source": "dataset",
    "dataset_id": "ds_1b2c3d4e5f60718293a4b5c6d7e8f90a",
    "class_name": "scratches",
    "split": "test",
}
_SYNTHETIC = {
    "source": "generation",
    "generation_id": "gen_3d4e5f60718293a4b5c6d7e8f90a1b2c",
    "class_name": "scratches",
}
_EXAMPLES = {"synthetic against real": Example(value={"real": _REAL, "other": _SYNTHETIC})}


@router.post(
    "",
    status_code=202,
    response_model=EvaluationView,
    responses={
        404: {"description": "No such dataset or generation."},
        409: {"description": "The generation has not finished."},
        429: {"description": "The queue is full."},
    },
)
def create_evaluation(
    request: Annotated[EvaluationRequest, Body(openapi_examples=_EXAMPLES)],
    once: OnceOf,
    parts: PartsOf,
    tenant: Tenant,
) -> Response:
    """Queue a quality report of `other`, a generation's images or real ones, against `real`.

    `real` is one class and split of a dataset; two generations are compared by evaluating each against the same one.
    """
    make = partial(parts.submission.evaluate, tenant, request)
    return once.accept(request, "/v1/evaluations", 2, make, evaluation_view)


@router.get("")
def list_evaluations(parts: PartsOf, tenant: Tenant, page: PageOf) -> PageView[EvaluationView]:
    """Evaluations, newest first."""
    with parts.database.reading() as session:
        found = evaluations.page(session, tenant, page)
        views = [evaluation_view(session, tenant, row) for row in found.items]
    return PageView(items=views, next_cursor=found.next_cursor)


@router.get("/{evaluation_id}")
def get_evaluation(evaluation_id: str, parts: PartsOf, tenant: Tenant) -> EvaluationView:
    """An evaluation, with its report when it has succeeded."""
    with parts.database.reading() as session:
        return evaluation_view(session, tenant, evaluations.get(session, tenant, evaluation_id))


@router.delete(
    "/{evaluation_id}",
    status_code=204,
    responses={409: {"description": "Its job has not finished."}},
)
def remove_evaluation(evaluation_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete an evaluation with its job."""
    delete_evaluation(parts.database, tenant, evaluation_id, Deletion(parts.clock()))
