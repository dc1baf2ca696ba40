"""Reports for people: self-contained HTML pages, and CSV tables, of generations, adaptations and recognitions."""

import hashlib
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.dependencies import PartsOf, Tenant
from service.api.presenting import state_of
from service.api.responses import is_fresh
from service.reports.adaptation import adaptation_page
from service.reports.generation import generation_page
from service.reports.recognition import recognition_page
from service.reports.records import adaptation_record, generation_record, recognition_record
from service.reports.rendering import html_of
from service.reports.tables import generation_csv, recognition_csv
from service.reports.thumbnails import StoredPictures
from service.store import datasets, generations

router = APIRouter(prefix="/v1", tags=["reports"])

_HTML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {}}, "description": "One self-contained page."},
    304: {"description": "The page has not changed."},
}
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}, "description": "A table with a header."}}
#: Nothing may be fetched, run or sent from a page that shows names and messages which users wrote.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"


@router.get("/generations/{generation_id}/report.html", response_class=Response, responses=_HTML)
def get_generation_page(generation_id: str, request: Request, parts: PartsOf, tenant: Tenant) -> Response:
    """Whether the images are good, how they were judged and how to make them again; as far as there is a result."""
    with parts.database.reading() as session:
        record, of_it = generation_record(session, tenant, generation_id, parts.registry.base_models)
    record = replace(record, state=state_of(of_it).value)
    return _page(request, html_of(generation_page(record, StoredPictures(parts.artifacts.path_of))))


@router.get("/generations/{generation_id}/report.csv", response_class=Response, responses=_CSV)
def get_generation_table(generation_id: str, parts: PartsOf, tenant: Tenant) -> Response:
    """One row an image published so far: its lineage, its nearest real image and how near that is."""
    with parts.database.reading() as session:
        record, _ = generation_record(session, tenant, generation_id, parts.registry.base_models)
        images = generations.images_of(session, tenant, generation_id)
        named = {one for image in images for one in image.real_image_ids}
        real = datasets.images_by_id(session, tenant, named)
    return _table(generation_csv(record, images, real), f"{generation_id}.csv")


@router.get("/adaptations/{adaptation_id}/report.html", response_class=Response, responses=_HTML)
def get_adaptation_page(adaptation_id: str, request: Request, parts: PartsOf, tenant: Tenant) -> Response:
    """Loss curves and every trial of the search, while it runs and after."""
    with parts.database.reading() as session:
        record, of_it = adaptation_record(session, tenant, adaptation_id, parts.registry.base_models)
    return _page(request, html_of(adaptation_page(replace(record, state=state_of(of_it).value))))


@router.get("/recognitions/{recognition_id}/report.html", response_class=Response, responses=_HTML)
def get_recognition_page(recognition_id: str, request: Request, parts: PartsOf, tenant: Tenant) -> Response:
    """Whether synthetic images help a classifier, and the figures that say so."""
    with parts.database.reading() as session:
        record, of_it = recognition_record(session, tenant, recognition_id)
    record = replace(record, state=state_of(of_it).value)
    return _page(request, html_of(recognition_page(record, StoredPictures(parts.artifacts.path_of))))


@router.get("/recognitions/{recognition_id}/report.csv", response_class=Response, responses=_CSV)
def get_recognition_table(recognition_id: str, parts: PartsOf, tenant: Tenant) -> Response:
    """One row a measurement; only the header until the job has succeeded."""
    with parts.database.reading() as session:
        record, _ = recognition_record(session, tenant, recognition_id)
    return _table(recognition_csv(record.id, record.result), f"{record.id}.csv")


def _page(request: Request, html: str) -> Response:
    body = html.encode()
    headers = {
        "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    if is_fresh(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="text/html", headers=headers)


def _table(text: str, filename: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "X-Content-Type-Options": "nosniff"}
    return Response(text.encode(), media_type="text/csv", headers=headers)
