"""Signing in: a key is given once, and the browser keeps a session in its place."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.api.dependencies import SESSION_COOKIE, PartsOf
from service.api.origins import refuse_other_origins
from service.errors import Unauthorized
from service.keys import SESSION_LASTS
from service.web.rendering import html
from service.web.visits import PageRouter, Shell

router = PageRouter()


@router.page("/login")
def show(parts: PartsOf, next: str = "/") -> Response:
    """The form; nothing to do where no key is asked for."""
    if not parts.settings.demands_keys:
        return RedirectResponse("/", 303)
    return _form(_inside(next))


@router.action("/login")
def sign_in(
    request: Request, parts: PartsOf, key: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/"
) -> Response:
    """Take a key and go where the person wanted to."""
    refuse_other_origins(request, must_tell=True)
    try:
        session = parts.keys.session_for(key.strip())
    except Unauthorized as error:
        return _form(_inside(next), f"This key cannot be used: {error.detail}.")
    answer = RedirectResponse(_inside(next), 303)
    answer.set_cookie(
        SESSION_COOKIE,
        session,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        # Not strict: a link in a mail should find the person signed in. What changes anything asks for its origin.
        samesite="lax",
        secure=parts.settings.is_public_by_https or request.url.scheme == "https",
    )
    return answer


@router.action("/logout")
def sign_out(request: Request) -> Response:
    """Have the browser forget its session."""
    refuse_other_origins(request, must_tell=True)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax")
    answer.headers["Clear-Site-Data"] = '"cache"'  # Pictures may be kept for a year.
    return answer


@router.page("/signed-in")
def signed_in() -> Response:
    """Where a second tab ends that was opened to sign in again; the first one still holds what was typed."""
    return html("signed_in.html.j2", shell=Shell("Signed in", "", signed_in=True, may_write=False))


def _form(next_path: str, problem: str | None = None) -> HTMLResponse:
    shell = Shell("Sign in", "", signed_in=False, may_write=False)
    return html("login.html.j2", status=401 if problem else 200, shell=shell, next_path=next_path, problem=problem)


def _inside(path: str) -> str:
    """The path, where it is one of this service; never another address."""
    parts = urlsplit(path)
    own = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return path if own and path.isprintable() else "/"
