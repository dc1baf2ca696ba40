"""Which pages may make a browser change something here: those of this service alone.

A browser sends a session's cookie, and reaches a service that asks for no key, for any page that is open in it.
``SameSite=Lax`` keeps the cookie from what other sites post, but not from another port or a sibling name of this one;
so a request that changes something must show where it comes from. Programs, which send keys, are not asked.
"""

from urllib.parse import urlsplit

from fastapi import Request

from service.errors import Forbidden

#: Methods that change nothing.
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def refuse_other_origins(request: Request, *, must_tell: bool) -> None:
    """Raise ``Forbidden`` for a change that another page asks for; ``must_tell``: also where it is not told by whom."""
    if request.method in READING:
        return
    if not _is_own(request, unknown=not must_tell):
        raise Forbidden(
            "the request comes from a page of another address",
            code="other_origin",
            remedy="Use the page of this service itself; a program sends its key with each request.",
        )


def _is_own(request: Request, *, unknown: bool) -> bool:
    # Browsers tell the first over https and on this machine alone, the second always. A proxy may end https, so that
    # schemes are not compared.
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return urlsplit(origin).netloc == request.headers.get("host") if origin is not None else unknown
