"""What every route of the page is given, and how it tells of errors: as the API does, in HTML."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.api.dependencies import Parts, PartsOf, Tenant, principal_of_key
from service.api.problems import Problem
from service.contracts.ids import TenantId
from service.contracts.keys import Principal, Scope
from service.web.rendering import html
from service.web.telling import in_page_words

#: What a fragment's problem is shown in, unless a part that renews itself asked.
_PROBLEM_TARGET = {"HX-Retarget": "#problem", "HX-Reswap": "innerHTML show:#problem:top"}
_IN_PLACE = {"HX-Reswap": "innerHTML"}


#: What the parts that are on an open page were made from: they are sent again only where they are others by now.
Seen = Annotated[Sequence[str], Query(max_length=1000)]


@dataclass(frozen=True)
class Shell:
    """What stands around every page. ``section``: which entry of the navigation is current."""

    title: str
    section: str
    signed_in: bool
    may_write: bool


@dataclass(frozen=True)
class Visit:
    """One request of a person whose key, where one is asked for, was accepted."""

    parts: Parts
    tenant: TenantId
    principal: Principal
    is_fragment: bool
    now: datetime

    @property
    def may_write(self) -> bool:
        """Whether buttons that change something are of any use."""
        return self.principal.may(Scope.WRITE)

    def page(
        self, template: str, title: str, section: str, *, status: int = 200, plots: bool = False, **names: Any
    ) -> HTMLResponse:
        """A whole page."""
        shell = Shell(title, section, self.principal.key_id is not None, self.may_write)
        return html(template, status=status, plots=plots, shell=shell, **names)

    def fragment(self, template: str, **names: Any) -> HTMLResponse:
        """A part of a page, which htmx puts in its place."""
        return html(template, may_write=self.may_write, **names)

    def go_to(self, path: str) -> Response:
        """Send the browser to another page after a form."""
        if self.is_fragment:
            return Response(status_code=204, headers={"HX-Redirect": path})
        return RedirectResponse(path, 303)


async def visit(
    request: Request, parts: PartsOf, tenant: Tenant, principal: Annotated[Principal, Depends(principal_of_key)]
) -> Visit:
    """The request as a visit. Raises as ``tenant_of_key``."""
    return Visit(parts, tenant, principal, is_fragment(request), parts.clock())


VisitOf = Annotated[Visit, Depends(visit)]


def is_fragment(request: Request) -> bool:
    """Whether htmx asks, for a part of a page that is open."""
    return request.headers.get("hx-request") == "true"


class PageRoute(APIRoute):
    """A route whose errors are the API's problems, as pages or as parts of one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Stock, with every error caught."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                return _told(request, error)

        return handled


def _told(request: Request, error: Exception) -> Response:
    """The answer of the handler that the API has for this error, in HTML."""
    handlers = request.app.exception_handlers
    handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
    answer: Response = handler(request, error)
    problem = in_page_words(Problem.model_validate_json(bytes(answer.body)))
    if problem.status == 401 and not is_fragment(request) and request.method in ("GET", "HEAD"):
        return RedirectResponse(f"/login?next={quote(_path_of(request))}", 303)
    told = _fragment_of(request, problem) if is_fragment(request) else _page_of(problem)
    for name in ("Retry-After", "Allow", "X-Request-ID"):
        if name in answer.headers:
            told.headers[name] = answer.headers[name]
    return told


def _path_of(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _fragment_of(request: Request, problem: Problem) -> Response:
    response = html("problem_part.html.j2", status=problem.status, problem=problem)
    response.headers.update(_IN_PLACE if request.headers.get("x-part") == "own" else _PROBLEM_TARGET)
    return response


def _page_of(problem: Problem) -> Response:
    shell = Shell(problem.title, "", signed_in=False, may_write=False)
    return html("problem.html.j2", status=problem.status, shell=shell, problem=problem)


class PageRouter(APIRouter):
    """Routes of the page: they answer HEAD as GET, and stand in no API document."""

    def __init__(self) -> None:
        super().__init__(route_class=PageRoute, include_in_schema=False)

    def page(self, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """A route that shows something."""
        return self.api_route(path, methods=["GET", "HEAD"], response_model=None)

    def action(self, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """A route that a form is sent to."""
        return self.api_route(path, methods=["POST"], response_model=None)
