"""Generations: synthetic images of classes, with their lineage and quality."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.openapi.models import Example
from starlette.responses import Response, StreamingResponse

from service.api.archives import Manifest, ManifestClass, manifest_of, zip_stream
from service.api.dependencies import PageOf, Parts, PartsOf, Tenant
from service.api.idempotency import OnceOf
from service.api.presenting import generated_image_view, generation_view, state_of
from service.api.responses import artifact_response, stored
from service.api.views import GeneratedImageView, GenerationReport, GenerationView, PageView
from service.contracts.datasets import ClassName
from service.contracts.generations import GenerationParams, GenerationResult
from service.contracts.ids import TenantId
from service.contracts.jobs import JobFailure
from service.contracts.requests import GenerationRequest
from service.contracts.topup import TopUp, TopUpRequest
from service.errors import Conflict, NotFound
from service.store import adapters, datasets, generations, jobs
from service.store.deletion import delete_generation
from service.store.tombstones import Deletion

router = APIRouter(prefix="/v1/generations", tags=["generations"])

_PNG = stored("image/png", "A PNG.")
_ZIP: dict[int | str, dict[str, Any]] = {200: {"content": {"application/zip": {}}, "description": "A zip."}}
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
        generations.get(session, tenant, generation_id)
        of_it = jobs.of_resources(session, tenant, [generation_id])
    return GenerationReport(
        generation_id=generation_id,
        state=state_of(of_it),
        results={
            job.class_name: GenerationResult.model_validate(job.result) for job in of_it if job.result is not None
        },
        failures={job.class_name: JobFailure.model_validate(job.failure) for job in of_it if job.failure is not None},
    )


@router.get(
    "/{generation_id}/archive",
    response_class=StreamingResponse,
    responses=_ZIP | {409: {"description": "Nothing was published yet."}},
)
def get_archive(generation_id: str, parts: PartsOf, tenant: Tenant) -> StreamingResponse:
    """The published images in ImageFolder layout, and `manifest.json` with the lineage of each."""
    manifest = _manifest(parts, tenant, generation_id)
    headers = {"Content-Disposition": f'attachment; filename="{generation_id}.zip"'}
    return StreamingResponse(zip_stream(manifest, parts.artifacts), media_type="application/zip", headers=headers)


def _manifest(parts: Parts, tenant: TenantId, generation_id: str) -> Manifest:
    with parts.database.reading() as session:
        generations.get(session, tenant, generation_id)
        images = generations.images_of(session, tenant, generation_id)
        if not images:
            raise Conflict(
                "no image of this generation has been published yet",
                code="generation_unfinished",
                remedy="Wait until one of its jobs has succeeded.",
            )
        classes = {}
        of_it = jobs.of_resources(session, tenant, [generation_id])
        for job in of_it:
            params = GenerationParams.model_validate(job.params)
            base_model = adapters.base_model_of(session, tenant, params.adapter_id)
            classes[params.class_name] = ManifestClass(
                adapter_id=params.adapter_id, base_model=base_model, params=params
            )
        wanted = {image.source_image_id for image in images if image.source_image_id is not None}
        sources = datasets.images_by_id(session, tenant, wanted)
    return manifest_of(generation_id, state_of(of_it), images, classes, sources)


@router.delete(
    "/{generation_id}",
    status_code=204,
    responses={409: {"description": "An unfinished job needs it."}},
)
def remove_generation(generation_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete a generation with its images and jobs."""
    delete_generation(parts.database, tenant, generation_id, Deletion(parts.clock()))
