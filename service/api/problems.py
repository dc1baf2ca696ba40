"""RFC 9457 answers: every error leaves the API as ``application/problem+json`` with a code, a field and a remedy."""

import errno
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from service.contracts.datasets import RefusedImage
from service.errors import InvalidRequest, NoAcceptableImages, ServiceError, StorageFull, Unavailable
from service.logs import get_logger

MEDIA_TYPE = "application/problem+json"
_log = get_logger()
_TAGS = ("constrained-", "function-", "dict[", "list[", "literal[", "json", "union[")
_TYPE_TAGS = frozenset({"int", "str", "none", "DatasetImages", "GenerationImages"})


class FieldProblem(BaseModel):
    """One field at fault."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457, with a stable ``code``, the field at fault and what to do about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:defectsynth:problem:unknown_base_model",
                    "title": "Unknown base model",
                    "status": 422,
                    "code": "unknown_base_model",
                    "detail": "base model 'sd99' is not registered; registered: mini",
                    "field": "base_model",
                    "remedy": "Choose a registered name from GET /v1/base-models.",
                    "request_id": "b3f1c0de5a7d4c1f",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
    remedy: str | None = None
    request_id: str | None = None
    errors: list[FieldProblem] | None = Field(
        default=None, description="Every field at fault, where there are several."
    )
    refused: list[RefusedImage] | None = Field(default=None, description="Each refused file of an upload, and why.")


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The problem as an answer."""
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _broken_off)
    app.add_exception_handler(OSError, _os_error)
    app.add_exception_handler(DataError, _data_error)
    for unavailable in (OperationalError, InterfaceError, NoConnection):
        app.add_exception_handler(unavailable, _database_error)
    app.add_exception_handler(Exception, _unexpected)


def of_error(error: ServiceError, request_id: str | None) -> Problem:
    """The problem that a domain error is."""
    return Problem(
        type=f"urn:defectsynth:problem:{error.code}",
        title=error.title,
        status=error.status,
        code=error.code,
        detail=error.detail,
        field=error.field,
        remedy=error.remedy,
        request_id=request_id,
        refused=error.refused if isinstance(error, NoAcceptableImages) else None,
    )


def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(ceil(error.retry_after_seconds))
    _log.info("request.refused", code=error.code, status=error.status, detail=error.detail)
    return problem_response(of_error(error, _request_id(request)), headers)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [_field_problem(one) for one in error.errors()]
    first = found[0]
    remedy = f"Correct {first.field!r} and send the request again; /docs describes every field."
    return problem_response(
        Problem(
            type="urn:defectsynth:problem:invalid_request",
            title="Request cannot be accepted",
            status=422,
            code="invalid_request",
            detail=f"{first.field}: {first.message}",
            field=first.field,
            remedy=_BODY_REMEDY if first.field == "body" else remedy,
            request_id=_request_id(request),
            errors=found,
        )
    )


_BODY_REMEDY = "Send a JSON object with the header 'Content-Type: application/json'; /docs has examples."


def _field_problem(told: Mapping[str, Any]) -> FieldProblem:
    if told["type"] == "json_invalid":  # Its location is a place in the text, not a field.
        place, reason = told["loc"][-1], told.get("ctx", {}).get("error", told["msg"])
        return FieldProblem(field="body", message=f"it is not JSON: {reason} at character {place}")
    if told["loc"] == ("body",) and told["type"] != "missing":
        return FieldProblem(field="body", message="it was not read as a JSON object")
    return FieldProblem(field=_field(told["loc"]), message=told["msg"])


def _field(location: tuple[int | str, ...]) -> str:
    """The client's name of the field: without where it came from, and without pydantic's names of union members."""
    parts = [str(part) for part in location[1:]]
    named = [part for part in parts if part not in _TYPE_TAGS and not part.startswith(_TAGS)]
    # A name may be anything that JSON can spell, and half of a surrogate pair cannot be answered.
    return ".".join(named).encode(errors="replace").decode() or str(location[0])


_HTTP_REMEDIES = {
    404: "Check the path; /docs lists every route.",
    405: "Use one of the methods in the 'Allow' header.",
    413: "Send it in smaller parts, or ask the operator to raise the limit.",
    408: "Send the body without pauses; a link slower than 10 kB/s is not waited for.",
    416: "Ask for bytes inside the file, or for all of it without a 'Range' header.",
}
#: Where the name that Python gives a status changes with its version.
_HTTP_CODES = {413: "request_too_large", 416: "range_not_satisfiable"}


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.BAD_REQUEST:  # FastAPI's, for a body that its JSON parser could not take
        unreadable = (
            "the body cannot be read: it is not UTF-8, is nested too deeply, or has a number of too many digits"
        )
        return _service_error(request, InvalidRequest(unreadable, field="body", remedy=_BODY_REMEDY))
    code = _HTTP_CODES.get(status, status.name.lower())
    problem = Problem(
        type=f"urn:defectsynth:problem:{code}",
        title=status.phrase,
        status=status,
        code=code,
        detail=str(error.detail),
        remedy=_HTTP_REMEDIES.get(status, "Correct the request and send it again."),
        request_id=_request_id(request),
    )
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request)) or "GET, HEAD"  # none: a file of the reference
    return problem_response(problem, headers)


def _allowed_methods(request: Request) -> list[str]:
    """Of every route of the path; the framework names those of the first one alone. Of a path that a route names as it
    is, those of such routes: it is no id of another's."""
    routes, scope = request.app.router.routes, request.scope
    leaves = (leaf for one in routes for leaf in getattr(getattr(one, "original_router", None), "routes", [one]))
    named = {method for leaf in leaves if getattr(leaf, "path", "") == scope["path"] for method in leaf.methods}
    return [
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if (method in named if named else _is_taken(routes, {**scope, "method": method}))
    ]


def _is_taken(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


def _broken_off(request: Request, error: Exception) -> Response:
    """The client went away while it sent, or waited; nobody reads this answer, and nothing crashed."""
    return _service_error(request, InvalidRequest("the client went away", code="body_broken_off", field="body"))


def _os_error(request: Request, error: Exception) -> Response:
    """A disk that fills up while an upload is spooled; anything else is unexpected."""
    assert isinstance(error, OSError)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        full = StorageFull("the disk that takes uploads (the system's temporary folder) is full")
        full.remedy = "Free space in the temporary folder (TMPDIR), then try again."
        return _service_error(request, full)
    return _unexpected(request, error)


def _data_error(request: Request, error: Exception) -> Response:
    """PostgreSQL keeps no NUL characters and no text or number beyond its column; SQLite finds nothing under them."""
    assert isinstance(error, DataError)
    refused = InvalidRequest("a value sent is one that the database cannot hold, such as text with a NUL character")
    return _service_error(request, refused)


def _database_error(request: Request, error: Exception) -> Response:
    """The database is out, locked for long or has no connection left: nothing that the client did."""
    _log.error("database.unavailable", path=request.url.path, error=str(getattr(error, "orig", error)))
    return _service_error(request, Unavailable("the database does not answer"))


def _unexpected(request: Request, error: Exception) -> Response:
    """The client gets an id to report, the log gets the trace."""
    request_id = _request_id(request)
    _log.error("request.crashed", path=request.url.path, request_id=request_id, exc_info=error)
    problem = Problem(
        type="urn:defectsynth:problem:internal_error",
        title="Internal error",
        status=500,
        code="internal_error",
        detail="something unexpected happened while the request was handled",
        remedy=ServiceError.remedy,
        request_id=request_id,
    )
    return problem_response(problem, {"X-Request-ID": request_id or ""})


def _request_id(request: Request) -> str | None:
    value = request.scope.get("state", {}).get("request_id")
    return value if isinstance(value, str) else None
