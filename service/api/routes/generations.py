"""Generations: synthetic images of classes, with their lineage and quality."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.openapi.models import Example
from starlette.responses import Response

from service.api.dependencies import PageOf, PartsOf, Tenant
from service.api.idempotency import OnceOf
from service.api.presenting import generated_image_view, generation_report, generation_view
from service.api.responses import artifact_response, stored
from service.api.views import GeneratedImageView, GenerationReport, GenerationView, PageView
from service.contracts.datasets import ClassName
from service.contracts.generations import GenerationResult
from service.contracts.requests import GenerationRequest
from service.errors import NotFound
from service.store import generations, jobs
from service.store.deletion import delete_generation
from service.store.tombstones import Deletion

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
) -> PageView[GeneratedImageView]:
    """The images published so far, in the order of class and number."""
    with parts.database.reading() as session:
        generations.get(session, tenant, generation_id)
        found = generations.page_of_images(session, tenant, generation_id, class_name, page)
    views = [generated_image_view(generation_id, image) for image in found.items]
    return PageView(items=views, next_cursor=found.next_cursor)


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
        row = generations.get(session, tenant, generation_id)
        return generation_report(row, jobs.of_resources(session, tenant, [generation_id]))


@router.delete(
    "/{generation_id}",
    status_code=204,
    responses={409: {"description": "An unfinished job needs it."}},
)
def remove_generation(generation_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete a generation with its images and jobs."""
    delete_generation(parts.database, tenant, generation_id, Deletion(parts.clock()))
