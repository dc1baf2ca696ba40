"""Metrics for Prometheus. They tell nothing of any tenant; a token may be asked for all the same."""

import secrets

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.dependencies import PartsOf
from service.errors import Unauthorized

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {}}, "description": "Prometheus text, or OpenMetrics by `Accept`."},
        401: {"description": "The operator set a token and it was not sent as `Authorization: Bearer`."},
    },
)
def metrics(request: Request, parts: PartsOf) -> Response:
    """What this process measured, and what the record holds now."""
    token = parts.settings.metrics_token
    if token is not None and not _is_sent(request, token.get_secret_value()):
        raise Unauthorized(
            "the metrics token was not sent",
            remedy="Send 'Authorization: Bearer <DEFECTSYNTH_METRICS_TOKEN>'.",
        )
    body, media_type = parts.metrics.text(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


def _is_sent(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), token.encode())
