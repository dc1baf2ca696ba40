"""OpenAPI 3.1: every error a route may give is documented as a problem."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.problems import MEDIA_TYPE, Problem

_DESCRIPTION = """\
Adapts Stable Diffusion to a few real images of a defect class, generates more, and reports their quality.

Work is accepted with 202 and a `Location`; poll its jobs (`ETag`, `Retry-After`). Errors are RFC 9457 problems with a
stable `code`, the `field` at fault and a `remedy`. Lists use opaque cursors. Images without a split go to `train`.
"""
_EVERYWHERE = {
    401: "No key, or a wrong one (where the operator set one).",
    422: "The request cannot be accepted as it is.",
    500: "Something unexpected; the log has the request id.",
    503: "The artefact store does not answer.",
}
_WRITING = {413: "More bytes than allowed.", 507: "The disk is full; nothing half written was left."}
_METHODS = ("get", "post", "put", "delete")


def install(app: FastAPI) -> None:
    """Replace the application's schema by the completed one, made at the first request for it."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(app)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]


def _completed(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, openapi_version="3.1.0", routes=app.routes, description=_DESCRIPTION
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations and path.startswith("/v1"):
                _complete_operation(operations[method], method)
    return document


def _complete_operation(operation: dict[str, Any], method: str) -> None:
    operation["security"] = [{}, {"bearer": []}, {"key": []}]
    errors = dict(_EVERYWHERE)
    if method in ("post", "put"):
        errors |= _WRITING
    for status, answer in operation["responses"].items():
        if status.isdecimal() and int(status) >= 400 and int(status) not in errors:
            errors[int(status)] = answer["description"]
    if 404 in errors:
        errors[410] = "It was deleted; the detail says when and why."
    for status_code, description in sorted(errors.items()):
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"][str(status_code)] = {"description": description, "content": content}
