"""Lists of everything, a page at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from service.store.pages import MAX_PAGE_SIZE, PageRequest
from service.web import lines
from service.web.lines import Lines
from service.web.visits import PageRouter, Seen, Visit, VisitOf

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


@dataclass(frozen=True)
class Part:
    """Some lines of a list, which look again by themselves. ``cursor`` and ``until``: where they begin and end."""

    listing: Listing
    found: Lines
    cursor: str | None
    until: str | None

    @property
    def path(self) -> str:
        """Where the same lines are told again."""
        places = {"cursor": self.cursor, "until": self.until}
        return f"{self.listing.path}/lines?{urlencode({name: one for name, one in places.items() if one})}"

    @property
    def more(self) -> str | None:
        """Where the lines after them are."""
        return (
            f"{self.listing.path}?{urlencode({'cursor': self.found.next_cursor})}" if self.found.next_cursor else None
        )


def _add(listing: Listing) -> None:
    def read(visit: Visit, request: PageRequest) -> Lines:
        with visit.parts.database.reading() as session:
            return listing.read(session, visit, request)

    @router.page(listing.path)
    def show(visit: VisitOf, cursor: Cursor = None) -> Response:
        found = read(visit, PageRequest(cursor, _PAGE_SIZE))
        part = Part(listing, found, cursor, found.next_cursor)
        if visit.is_fragment:
            return visit.fragment("lines.html.j2", part=part)
        return visit.page("list.html.j2", listing.title, listing.section, part=part)

    @router.page(f"{listing.path}/lines")
    def again(visit: VisitOf, cursor: Cursor = None, until: Cursor = None, seen: Seen = ()) -> Response:
        # As many as there may be at once: what is new comes on top, and nothing is pushed off at the end.
        part = Part(listing, read(visit, PageRequest(cursor, MAX_PAGE_SIZE, until)), cursor, until)
        return (
            visit.fragment("lines_part.html.j2", part=part)
            if part.found.seen not in seen
            else Response(status_code=204)
        )


for _listing in LISTINGS:
    _add(_listing)
