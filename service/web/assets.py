"""The page's own files: style sheet, scripts, icon. All come from this machine, which may have no way out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import Request
from starlette.responses import Response

from service.api.responses import is_fresh
from service.errors import NotFound

STATIC_DIR: Final = Path(__file__).resolve().parent / "static"
#: The reports' style sheet comes first: the page takes its colours, tables and figures from it.
_REPORT_STYLE: Final = STATIC_DIR.parents[1] / "reports" / "templates" / "report.css"
_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file, in memory."""

    body: bytes
    media_type: str
    sha256: str


class Assets:
    """Every file by its name. Addresses hold a part of the content's digest, so that browsers may keep them."""

    def __init__(self) -> None:
        files = {path.relative_to(STATIC_DIR).as_posix(): path.read_bytes() for path in STATIC_DIR.rglob("*.*")}
        files["page.css"] = _REPORT_STYLE.read_bytes() + files["page.css"]
        self._assets = {
            name: Asset(body, _MEDIA_TYPES[suffix], hashlib.sha256(body).hexdigest())
            for name, body in files.items()
            if (suffix := Path(name).suffix) in _MEDIA_TYPES
        }

    def address(self, name: str) -> str:
        """Where a file is, for templates. Raises ``KeyError`` for a file that there is not."""
        return f"/static/{name}?v={self._assets[name].sha256[:12]}"

    def response(self, request: Request, name: str) -> Response:
        """One file; 304 for a browser that has it. Raises ``NotFound``."""
        asset = self._assets.get(name)
        if asset is None:
            raise NotFound(f"there is no file {name!r}")
        headers = {"ETag": f'"{asset.sha256}"', "Cache-Control": _FOREVER, "X-Content-Type-Options": "nosniff"}
        if request.query_params.get("v") != asset.sha256[:12]:
            headers["Cache-Control"] = "no-cache"
        if is_fresh(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(asset.body, media_type=asset.media_type, headers=headers)
