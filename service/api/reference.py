"""The interactive reference at ``/docs``, from this machine's own files: a plant's network may have no way out, and
nobody else's script should run where the key is typed in."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

#: The package is taken for Swagger UI's files alone.
_FILES = Path(fastapi_offline.__file__).parent / "static"
#: Of scripts the files of this service and the one that stands in the page; Swagger UI writes ``style`` attributes.
_POLICY: Final = (
    "default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def install(app: FastAPI) -> None:
    """Serve the page and its files; the application must have been made without pages of its own."""

    @app.get("/docs", include_in_schema=False)
    async def reference(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/favicon.png",
        )
        page.headers["Content-Security-Policy"] = _POLICY.format(scripts=_digests(bytes(page.body).decode()))
        page.headers["X-Content-Type-Options"] = "nosniff"
        page.headers["Referrer-Policy"] = "same-origin"
        return page

    app.mount("/docs", StaticFiles(directory=_FILES), name="reference-files")


def _digests(html: str) -> str:
    """The page's own scripts as a policy names them."""
    digests = (hashlib.sha256(script.encode()).digest() for script in re.findall(r"<script>(.*?)</script>", html, re.S))
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
