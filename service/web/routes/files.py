"""The page's own files, open to everybody: the login needs them."""

from fastapi import Request
from starlette.responses import Response

from service.web.rendering import assets
from service.web.visits import PageRouter

router = PageRouter()


@router.page("/static/{name:path}")
def file(name: str, request: Request) -> Response:
    """One of them."""
    return assets().response(request, name)
