"""From a view to HTML, with the headers that every page has."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from service.web.assets import Assets

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
_REPORT_TEMPLATES: Final = Path(__file__).resolve().parents[1] / "reports" / "templates"
#: Nothing from elsewhere, no script but the page's own files, no frame around it, and forms go nowhere else.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'{attributes}; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_TO_TYPE: Final = re.compile("`([^`]+)`")
#: What matplotlib draws has its colours in ``style`` attributes.
_WITH_PLOTS: Final = "; style-src-attr 'unsafe-inline'"


@cache
def assets() -> Assets:
    """The page's own files, read once."""
    return Assets()


def page_headers(*, plots: bool = False) -> dict[str, str]:
    """Headers of every page. ``plots``: it shows plots of the reports."""
    return {
        "Content-Security-Policy": _POLICY.format(attributes=_WITH_PLOTS if plots else ""),
        "X-Content-Type-Options": "nosniff",
        # Not "no-referrer": with it browsers tell forms' origin as null, and a form must show where it comes from.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
        "Vary": "HX-Request, Cookie",
    }


def html(template: str, *, status: int = 200, plots: bool = False, **names: Any) -> HTMLResponse:
    """A rendered template as an answer."""
    return HTMLResponse(_environment().get_template(template).render(**names), status, page_headers(plots=plots))


def coded(text: str) -> Markup:
    """Text as HTML; what stands between backticks in it is to be typed."""
    return Markup(_TO_TYPE.sub(r"<code>\1</code>", str(escape(text))))


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([_TEMPLATES, _REPORT_TEMPLATES]),
        autoescape=True,  # class names, file names and messages are what users wrote
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = assets().address
    environment.filters["coded"] = coded
    return environment
