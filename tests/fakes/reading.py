"""Reads an HTML page as strictly as the tests need: every tag closed, every picture and address known."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

_VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}


@dataclass
class Read:
    """What a page holds. ``addresses``: of every src, href and the like."""

    text: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    pictures: list[dict[str, str | None]] = field(default_factory=list)
    scopeless: int = 0

    @property
    def words(self) -> str:
        """All text, its blanks as single spaces."""
        return " ".join(" ".join(self.text).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.read = Read()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, dict(attrs))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.read.text.append(data)

    def _note(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.read.tags.append(tag)
        for name in ("src", "href", "action", "data", "srcset", "xlink:href", "poster"):
            if attributes.get(name):
                self.read.addresses.append(str(attributes[name]))
        if tag == "img":
            self.read.pictures.append(attributes)
        if tag == "th" and attributes.get("scope") not in ("row", "col"):
            self.read.scopeless += 1
        assert not any(name.startswith("on") for name in attributes), attributes


def read_page(html: str) -> Read:
    """The page's contents. Fails where tags are not closed in order or where an attribute would run a script."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader.read


def check_self_contained(html: str) -> Read:
    """The page, which must hold no script, need no other file, and name every picture and header cell."""
    page = read_page(html)
    assert "script" not in page.tags
    assert [one for one in page.addresses if not one.startswith(("#", "data:image/"))] == []
    assert "@import" not in html
    assert "url(" not in html.replace("url(#", "")
    assert all(picture.get("alt") for picture in page.pictures)
    assert page.scopeless == 0
    levels = [int(tag[1]) for tag in page.tags if tag in ("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels)), "a heading's level is left out"
    return page
