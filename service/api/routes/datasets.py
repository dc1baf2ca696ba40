"""Datasets: images of defect classes; uploads make immutable versions."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.api.dependencies import PageOf, Parts, PartsOf, Tenant
from service.api.idempotency import Once, OnceOf, Told
from service.api.image_views import real_image_links
from service.api.leaving import while_wanted
from service.api.presenting import dataset_summary, dataset_view
from service.api.responses import THUMBNAIL, SizeOf, artifact_response, stored, thumbnail_response
from service.api.uploads import Form, read_form, upload_of
from service.api.views import DatasetImageView, DatasetSummary, DatasetView, PageView, ReceiptView
from service.contracts.datasets import CLASS_NAME_PATTERN, ClassName
from service.contracts.ids import TenantId
from service.intake import Receipt
from service.queueing import Note
from service.store import datasets
from service.store.deletion import delete_dataset
from service.store.tombstones import Deletion
from service.thumbnails import ThumbnailSize

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_FILES = {"type": "array", "items": _FILE, "minItems": 1}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_LISTS = {
    "splits": {**_TEXTS, "description": "train, validation, test or empty (train) for each image, in their order."},
    "groups": {**_TEXTS, "description": "Coil, strip or part of each image; a group never straddles splits."},
}
_IMAGES = {**_FILES, "description": "PNG, JPEG, BMP, TIFF or WEBP; class/file.png or split/class/file.png as filename."}
_WHOLE_FORM = {
    "name": {"type": "string", "examples": ["line 3, week 12"]},
    "images": _IMAGES,
    "classes": {**_TEXTS, "description": "The class of each image, where its filename does not say it."},
    **_LISTS,
    "archive": {**_FILE, "description": "Instead of images: a zip of class/image.png or split/class/image.png."},
}
_CLASS_FORM = {"images": _FILES, **_LISTS}
_KIND: dict[int | str, dict[str, Any]] = {415: {"description": "Not multipart/form-data."}}


def _multipart(properties: dict[str, Any]) -> dict[str, Any]:
    sources = [{"required": [name]} for name in ("images", "archive") if name in properties]
    schema = {"type": "object", "properties": properties, "oneOf": sources, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@router.post("", status_code=201, response_model=ReceiptView, responses=_KIND, openapi_extra=_multipart(_WHOLE_FORM))
async def create_dataset(request: Request, parts: PartsOf, tenant: Tenant, once: OnceOf) -> Response:
    """Upload images of one or more classes. Good images are kept, each refused one is named with its reason.

    An image without a split goes to `train`. 422 where no image at all can be accepted.
    """
    async with read_form(request, parts.settings) as form:
        work = partial(_create, parts, tenant, form, once)
        return await while_wanted(request, parts.upload_slots.one(tenant), work)


def _create(parts: Parts, tenant: TenantId, form: Form, once: Once, before_each: Callable[[], None]) -> Response:
    def tell(session: Session, receipt: Receipt) -> Told:
        return Told(_receipt_view(session, tenant, receipt), {"Location": f"/v1/datasets/{receipt.dataset.id}"})

    def make(note: Note[Receipt]) -> None:
        _count(parts, tenant, form)
        with upload_of(form, parts.settings, before_each) as upload:
            parts.intake.create(tenant, form.name, upload, note)

    return once.answer(form.digest() if once.key is not None else "", 201, make, tell)


def _count(parts: Parts, tenant: TenantId, form: Form) -> None:
    """In a transaction of its own: the bytes were uploaded, whatever becomes of them."""
    with parts.database.transaction() as session:
        parts.quotas.take_upload(session, tenant, parts.clock(), form.num_bytes)


@router.put(
    "/{dataset_id}/classes/{class_name}/images",
    response_model=ReceiptView,
    responses=_KIND,
    openapi_extra=_multipart(_CLASS_FORM),
)
async def replace_class_images(
    dataset_id: str,
    class_name: Annotated[str, Path(pattern=CLASS_NAME_PATTERN.pattern)],
    request: Request,
    parts: PartsOf,
    tenant: Tenant,
    once: OnceOf,
) -> Response:
    """Make a new version in which the class holds exactly these images; other classes stay as they are."""
    async with read_form(request, parts.settings) as form:
        work = partial(_replace, parts, tenant, dataset_id, class_name, form, once)
        return await while_wanted(request, parts.upload_slots.one(tenant), work)


def _replace(
    parts: Parts, tenant: TenantId, dataset_id: str, class_name: str, form: Form, once: Once,
    before_each: Callable[[], None],
) -> Response:  # fmt: skip
    def tell(session: Session, receipt: Receipt) -> Told:
        return Told(_receipt_view(session, tenant, receipt), {})

    def make(note: Note[Receipt]) -> None:
        _count(parts, tenant, form)
        with upload_of(form, parts.settings, before_each, class_name) as upload:
            parts.intake.replace_class(tenant, dataset_id, class_name, upload, note)

    return once.answer(form.digest() if once.key is not None else "", 200, make, tell)


def _receipt_view(session: Session, tenant: TenantId, receipt: Receipt) -> ReceiptView:
    view = dataset_view(session, tenant, receipt.dataset, receipt.version)
    return ReceiptView(**view.model_dump(), accepted=receipt.num_accepted, refused=receipt.refused)


@router.get("")
def list_datasets(parts: PartsOf, tenant: Tenant, page: PageOf) -> PageView[DatasetSummary]:
    """Datasets, newest first."""
    with parts.database.reading() as session:
        found = datasets.page(session, tenant, page)
    return PageView(items=[dataset_summary(row) for row in found.items], next_cursor=found.next_cursor)


@router.get("/{dataset_id}")
def get_dataset(
    dataset_id: str,
    parts: PartsOf,
    tenant: Tenant,
    version_id: Annotated[str | None, Query(description="The latest version when left out.")] = None,
) -> DatasetView:
    """A dataset: images for each class and split, and warnings about them."""
    with parts.database.reading() as session:
        row = datasets.get(session, tenant, dataset_id)
        return dataset_view(session, tenant, row, datasets.version(session, tenant, dataset_id, version_id))


@router.get("/{dataset_id}/images")
def list_images(
    dataset_id: str,
    parts: PartsOf,
    tenant: Tenant,
    page: PageOf,
    version_id: str | None = None,
    class_name: Annotated[ClassName | None, Query()] = None,
) -> PageView[DatasetImageView]:
    """The images of a version, newest first."""
    with parts.database.reading() as session:
        version = datasets.version(session, tenant, dataset_id, version_id)
        found = datasets.page_of_images(session, tenant, version.id, class_name, page)
    views = [
        DatasetImageView(**datasets.as_record(row).model_dump(), links=real_image_links(dataset_id, row.id))
        for row in found.items
    ]
    return PageView(items=views, next_cursor=found.next_cursor)


@router.head("/{dataset_id}/images/{image_id}", include_in_schema=False)
@router.get(
    "/{dataset_id}/images/{image_id}",
    response_class=Response,
    responses=stored("image/png", "The image as it is kept."),
)
def get_image(dataset_id: str, image_id: str, request: Request, parts: PartsOf, tenant: Tenant) -> Response:
    """One real image as PNG."""
    with parts.database.reading() as session:
        row = datasets.image(session, tenant, dataset_id, image_id)
    return artifact_response(request, parts.artifacts, row.sha256, "image/png")


@router.head("/{dataset_id}/images/{image_id}/thumbnail", include_in_schema=False)
@router.get("/{dataset_id}/images/{image_id}/thumbnail", response_class=Response, responses=THUMBNAIL)
async def get_image_thumbnail(
    dataset_id: str,
    image_id: str,
    request: Request,
    parts: PartsOf,
    tenant: Tenant,
    size: SizeOf = ThumbnailSize.SMALL,
) -> Response:
    """One real image, small, for a gallery."""

    def digest() -> str:
        with parts.database.reading() as session:
            return datasets.image(session, tenant, dataset_id, image_id).sha256

    return await thumbnail_response(request, parts, size, digest)


@router.delete(
    "/{dataset_id}",
    status_code=204,
    responses={409: {"description": "An adapter or an unfinished job cites it."}},
)
def remove_dataset(dataset_id: str, parts: PartsOf, tenant: Tenant) -> None:
    """Delete a dataset with all its versions."""
    delete_dataset(parts.database, tenant, dataset_id, Deletion(parts.clock()))
