"""Generations: synthetic images of classes, with their lineage and quality."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.openapi.models import Example
from starlette.responses import Response

from service.api.dependencies import PageOf, PartsOf, Tenant, principal_of_key
from service.api.idempotency import OnceOf
from service.api.image_views import DecisionsView, GeneratedImageView, generated_image_views
from service.api.presenting import generation_report, generation_view
from service.api.responses import THUMBNAIL, SizeOf, artifact_response, stored, thumbnail_response
from service.api.views import GenerationReport, GenerationView, PageView
from service.contracts.datasets import ClassName
from service.contracts.generations import DecisionState, GenerationResult
from service.contracts.keys import Principal
from service.contracts.requests import DecisionsRequest, GenerationRequest
from service.contracts.topup import TopUp, TopUpRequest
from service.errors import InvalidRequest, NotFound
from service.store import decisions, generations, jobs
from service.store.deletion import delete_generation
from service.store.tombstones import Deletion
from service.thumbnails import ThumbnailSize

router = APIRouter(prefix="/v1/generations", tags=["generations"])

_PNG = stored("image/png", "A PNG.")
_EXAMPLES = {
    "24 images a class": Example(value={"adaptation_id": "adn_0a1b2c3d4e5f60718293a4b5c6d7e8f9", "num_images": 24}),
    "from noise": Example(
        value={
            "adapter_ids": ["adp_2c3d4e5f60718293a4b5c6d7e8f90a1b"],
            "num_images": {"scratches": 100},
            "settings": {"mode": "from_noise", "guidance_scale": 3.0},
            "seed": 7,
        }
    ),
}

_DECISIONS = {
    "one kept, one rejected": Example(
        value={
            "decisions": [
                {"class_name": "scratches", "number": 0, "decision": "keep"},
                {"class_name": "scratches", "number": 3, "decision": "reject"},
            ]
        }
    ),
    "taken back": Example(value={"decisions": [{"class_name": "scratches", "number": 3, "decision": None}]}),
}


@router.post(
    "",
    status_code=202,
    response_model=GenerationView,
    responses={
        404: {"description": "No such adaptation or adapter."},
        409: {"description": "The adaptation has not finished."},
        429: {"description": "The queue is full."},
    },
)
def create_generation(
    request: Annotated[GenerationRequest, Body(openapi_examples=_EXAMPLES)],
    once: OnceOf,
    parts: PartsOf,
    tenant: Tenant,
) -> Response:
    """Queue one generation job a class."""
    make = partial(parts.submission.generate, tenant, request)
    return once.accept(request, "/v1/generations", 2, make, generation_view)


_TOP_UP_EXAMPLES = {
    "a confusion matrix": Example(
        value={
            "adaptation_id": "adn_0a1b2c3d4e5f60718293a4b5c6d7e8f9",
            "classes": ["ok", "pits", "scratches"],
            "confusion_matrix": [[50, 0, 0], [1, 19, 0], [6, 2, 12]],
            "other_classes": ["ok"],
        }
    ),
    "recalls": Example(
        value={
            "generation_id": "gen_3d4e5f60718293a4b5c6d7e8f90a1b2c",
            "recall_by_class": {"pits": 0.95, "scratches": 0.6},
            "target_recall": 0.9,
        }
    ),
    "a finished recognition": Example(value={"recognition_id": "rec_5f60718293a4b5c6d7e8f90a1b2c3d4e"}),
}


@router.post(
    "/top-up",
    response_model=TopUp,
    response_model_exclude_unset=True,
    responses={
        404: {"description": "No such adaptation, generation or recognition."},
        409: {"description": "The recognition has no result."},
    },
)
def propose_top_up(
    request: Annotated[TopUpRequest, Body(openapi_examples=_TOP_UP_EXAMPLES)], parts: PartsOf, tenant: Tenant
) -> TopUp:
    """Propose images for the classes that a classifier tells badly, and say why, class by class. Nothing is queued:
    edit `request` and send it to `POST /v1/generations`.

    Of a class at the target, `ratio` synthetic images for each real train image are enough: what a recognition of the
    generation chose, else 1. A weak class gets up to twice as many, the more the lower its recall; images that the
    generation has of it are taken off."""
    return parts.topping_up.propose(tenant, request)


@router.get("")
def list_generations(parts: PartsOf, tenant: Tenant, page: PageOf) -> PageView[GenerationView]:
    """Generations, newest first."""
    with parts.database.reading() as session:
        found = generations.page(session, tenant, page)
        views = [generation_view(session, tenant, row) for row in found.items]
    return PageView(items=views, next_cursor=found.next_cursor)


@router.get("/{generation_id}")
def get_generation(generation_id: str, parts: PartsOf, tenant: Tenant) -> GenerationView:
    """A generation with its classes and jobs."""
    with parts.database.reading() as session:
        return generation_view(session, tenant, generations.get(session, tenant, generation_id))


@router.get("/{generation_id}/images")
def list_generated_images(
    generation_id: str,
    parts: PartsOf,
    tenant: Tenant,
    page: PageOf,
    class_name: Annotated[ClassName | None, Query()] = None,
    decision: Annotated[DecisionState | None, Query(description="Only images of which this was decided.")] = None,
) -> PageView[GeneratedImageView]:
    """The images published so far, in the order of class and number."""
    with parts.database.reading() as session:
        generations.get(session, tenant, generation_id)
        found = generations.page_of_images(session, tenant, generation_id, class_name, page, decision)
        views = generated_image_views(session, tenant, generation_id, found.items)
    return PageView(items=views, next_cursor=found.next_cursor)


@router.put("/{generation_id}/images/decisions")
def decide_about_images(
    generation_id: str,
    request: Annotated[DecisionsRequest, Body(openapi_examples=_DECISIONS)],
    parts: PartsOf,
    tenant: Tenant,
    principal: Annotated[Principal, Depends(principal_of_key)],
) -> DecisionsView:
    """Keep or reject images, or take that back: all that are named, or none where one of them is unknown.

    Rejected ones are left out of the archive and of recognitions that are asked for from now on. They stay where they
    are, and may be kept after all. The same request may be sent again: who decided first, and when, stays.
    """
    wanted = {(one.class_name, one.number): one.decision for one in request.decisions}
    if len(wanted) < len(request.decisions):
        raise InvalidRequest("an image is named twice", code="decided_twice", field="decisions")
    with parts.database.transaction() as session:
        decisions.decide(session, tenant, generation_id, wanted, by=principal.called, at=parts.clock())
        counts = decisions.counts(session, tenant, generation_id)
    return DecisionsView(generation_id=generation_id, decisions=counts)


@router.head("/{generation_id}/images/{class_name}/{number}", include_in_schema=False)
@router.get("/{generation_id}/images/{class_name}/{number}", response_class=Response, responses=_PNG)
def get_generated_image(
    generation_id: str,
    class_name: str,
    number: Annotated[int, Path(ge=0, lt=2**31)],
    request: Request,
    parts: PartsOf,
    tenant: Tenant,
) -> Response:
    """One synthetic image as PNG."""
    with parts.database.reading() as session:
        image = generations.image(session, tenant, generation_id, class_name, number)
    return artifact_response(request, parts.artifacts, image.sha256, "image/png")


@router.head("/{generation_id}/images/{class_name}/{number}/thumbnail", include_in_schema=False)
@router.get("/{generation_id}/images/{class_name}/{number}/thumbnail", response_class=Response, responses=THUMBNAIL)
async def get_generated_thumbnail(
    generation_id: str,
    class_name: str,
    number: Annotated[int, Path(ge=0, lt=2**31)],
    request: Request,
    parts: PartsOf,
    tenant: Tenant,
    size: SizeOf = ThumbnailSize.SMALL,
) -> Response:
    """One synthetic image, small, for a gallery."""

    def digest() -> str:
        with parts.database.reading() as session:
            return generations.image(session, tenant, generation_id, class_name, number).sha256

    return await thumbnail_response(request, parts, size, digest)


@router.head("/{generation_id}/classes/{class_name}/contact-sheet", include_in_schema=False)
@router.get("/{generation_id}/classes/{class_name}/contact-sheet", response_class=Response, responses=_PNG)
def get_contact_sheet(
    generation_id: str, class_name: str, request: Request, parts: PartsOf, tenant: Tenant
) -> Response:
    """Real images above synthetic ones, as one PNG."""
    with parts.database.reading() as session:
        generations.get(session, tenant, generation_id)
        of_it = jobs.of_resources(session, tenant, [generation_id])
    for job in of_it:
        if job.class_name == class_name and job.result is not None:
            result = GenerationResult.model_validate(job.result)
            return artifact_response(request, parts.artifacts, result.contact_sheet, "image/png")
    raise NotFound(
        f"generation {generation_id!r} has no contact sheet of class {class_name!r}",
        field="class_name",
        remedy="It is there when the class's job has succeeded.",
    )


@router.get("/{generation_id}/report")
def get_report(generation_id: str, parts: PartsOf, tenant: Tenant) -> GenerationReport:
    """Quality, class by class, with the floors that give it meaning."""
    with parts.database.reading() as session:
        return generation_report(session, tenant, generations.get(session, tenant, generation_id))


@router.delete(
    "/{generation_id}",
    status_code=204,
    responses={409: {"description": "An unfinished job needs it."}},
)
def remove_generation(generation_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete a generation with its images and jobs."""
    delete_generation(parts.database, tenant, generation_id, Deletion(parts.clock()))
