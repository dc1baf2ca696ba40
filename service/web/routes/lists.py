"""Lists of everything, a page at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.store.pages import PageRequest
from service.web import lines
from service.web.lines import Lines
from service.web.visits import PageRouter, Visit, VisitOf

router = PageRouter()
_PAGE_SIZE = 25


@dataclass(frozen=True)
class Listing:
    """One list: where it is, what it is called, and what to do where it is empty."""

    section: str
    title: str
    empty: str
    read: Callable[[Session, Visit, PageRequest], Lines]

    @property
    def path(self) -> str:
        """Its address."""
        return f"/{self.section}"


LISTINGS = (
    Listing("datasets", "Data sets", "Upload images on the overview page to make the first one.", lines.datasets),
    Listing("adaptations", "Adaptations", "Open a data set and start one there.", lines.adaptations),
    Listing("generations", "Generations", "Open a finished adaptation and generate images there.", lines.generations),
    Listing("recognitions", "Recognitions", "Open a finished generation and ask there.", lines.recognitions),
    Listing("evaluations", "Evaluations", "Open a finished generation and ask for one there.", lines.evaluations),
)
Cursor = Annotated[str | None, Query(max_length=1024)]


def _add(listing: Listing) -> None:
    @router.page(listing.path)
    def show(visit: VisitOf, cursor: Cursor = None) -> Response:
        with visit.parts.database.reading() as session:
            found = listing.read(session, visit, PageRequest(cursor, _PAGE_SIZE))
        if visit.is_fragment:
            return visit.fragment("lines.html.j2", listing=listing, found=found)
        return visit.page("list.html.j2", listing.title, listing.section, listing=listing, found=found)


for _listing in LISTINGS:
    _add(_listing)
