"""A generation as a zip, in the layout that a training tool reads."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from service.api.dependencies import Parts, PartsOf, Tenant
from service.api.presenting import state_of
from service.api.ranges import Streamed, streamed_response
from service.api.responses import stored
from service.contracts.datasets import ClassName
from service.contracts.ids import TenantId
from service.errors import InvalidRequest
from service.exports.archive import archive_of, manifest_of
from service.exports.choosing import Wanted, chosen
from service.exports.manifest import ExportFormat
from service.exports.zipping import zip_length, zip_stream

router = APIRouter(prefix="/v1/generations", tags=["generations"])

_ZIP = {status: told for status, told in stored("application/zip", "A zip.").items() if status != 307}
_FORMAT = (
    "`imagefolder`: a folder a class. `coco`: `annotations.json` and `images/`. `anomalib`: `normal/` and `abnormal/`. "
    "`huggingface`: `train/` with `metadata.jsonl`."
)
_INCLUDE_REAL = "Also the real train images that the adapters learned from; never validation or test images."
_NORMAL_CLASS = "For `anomalib`: the data set's class without a defect; its real train images make `normal/`."


@router.get(
    "/{generation_id}/archive",
    response_class=StreamingResponse,
    responses=_ZIP
    | {409: {"description": "Nothing was published, all of it was rejected, or an adapter was deleted."}},
)
def get_archive(
    generation_id: str,
    request: Request,
    parts: PartsOf,
    tenant: Tenant,
    layout: Annotated[ExportFormat, Query(alias="format", description=_FORMAT)] = ExportFormat.IMAGEFOLDER,
    include_real: Annotated[bool, Query(description=_INCLUDE_REAL)] = False,
    normal_class: Annotated[ClassName | None, Query(description=_NORMAL_CLASS)] = None,
    include_rejected: Annotated[bool, Query(description="Also the images that somebody rejected.")] = False,
) -> Response:
    """The published images, less rejected ones, and `manifest.json` with digest and lineage of each.

    A download that broke off goes on by `Range`.
    """
    if normal_class is not None and layout is not ExportFormat.ANOMALIB:
        raise InvalidRequest(
            "normal_class counts for format=anomalib alone",
            field="normal_class",
            remedy="Leave it out, or ask for format=anomalib.",
        )
    return archive_response(
        request, parts, tenant, generation_id, Wanted(include_real, normal_class, include_rejected), layout
    )


def archive_response(
    request: Request, parts: Parts, tenant: TenantId, generation_id: str, wanted: Wanted, layout: ExportFormat
) -> Response:
    """The zip, or the part of it that is asked for. Raises as ``chosen``."""
    with parts.database.reading() as session:
        found = chosen(session, tenant, generation_id, wanted)
        manifest = manifest_of(generation_id, state_of(found.jobs), found, wanted, layout)
    archive = archive_of(manifest, parts.artifacts)
    source = Streamed(
        make=partial(zip_stream, archive.members),
        length_bytes=zip_length(archive.members),
        etag=archive.etag,
        media_type="application/zip",
        filename=f"{generation_id}-{layout.value}.zip",
    )
    return streamed_response(request, source)
