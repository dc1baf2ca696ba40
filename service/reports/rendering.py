"""From a page to its HTML."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from service.reports.adaptation import AdaptationPage
from service.reports.generation import GenerationPage
from service.reports.recognition import RecognitionPage

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES_DIR = Path(__file__).resolve().parent / "templates"
_TEMPLATES: dict[type, str] = {
    GenerationPage: "generation.html.j2",
    AdaptationPage: "adaptation.html.j2",
    RecognitionPage: "recognition.html.j2",
}


def html_of(page: GenerationPage | AdaptationPage | RecognitionPage) -> str:
    """One self-contained file: no script, and nothing is fetched from anywhere. Equal pages give equal text."""
    template = _environment().get_template(_TEMPLATES[type(page)])
    return template.render(page=page, style=_style())


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES_DIR),
        autoescape=True,  # class names, file names and messages are what users wrote
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    return (_TEMPLATES_DIR / "report.css").read_text(encoding="utf-8")
