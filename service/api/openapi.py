"""OpenAPI 3.1: every error a route may give is documented as a problem."""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.api.problems import MEDIA_TYPE, Problem

_DESCRIPTION = """\
Adapts Stable Diffusion to a few real images of a defect class, generates more, and reports their quality.

Work is accepted with 202 and a `Location`; poll its jobs (`ETag`, `Retry-After`) or follow them live
(`links.events`). Errors are RFC 9457 problems with a stable `code`, the `field` at fault and a `remedy`. Lists use
opaque cursors. Images without a split go to `train`.
"""
_EVERYWHERE = {
    401: "No key, or a wrong one (where keys are asked for).",
    403: "The key lacks the scope for this.",
    421: "Sent to a name that the service does not answer to.",
    422: "The request cannot be accepted as it is.",
    429: "The key has sent too many requests, or the tenant has had its share.",
    500: "Something unexpected; the log has the request id.",
    503: "The database or the artefact store does not answer for now.",
}
_OF_ONE = {404: "Unknown, or another tenant's."}
_WRITING = {
    409: "The right request in the wrong state, or its Idempotency-Key is being answered.",
    408: "The body came too slowly.",
    413: "More bytes than allowed.",
    415: "Not the kind of body that the route takes, or a compressed one.",
    507: "The disk is full; nothing half written was left.",
}
_MAKES = {"201", "202"}
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_METHODS = ("get", "post", "put", "patch", "delete")


def install(app: FastAPI, *, asks_for_key: bool) -> None:
    """Replace the application's schema by the completed one, made at the first request for it."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(app, [] if asks_for_key else [{}])
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]


def _completed(app: FastAPI, without_key: list[dict[str, Any]]) -> dict[str, Any]:
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
                operations[method]["security"] = [*without_key, {"bearer": []}, {"key": []}]
                _complete_operation(operations[method], method, "{" in path)
    _link(document["paths"])
    _make_integers_exact(document)
    return document


def _complete_operation(operation: dict[str, Any], method: str, of_one: bool) -> None:
    errors = _EVERYWHERE | (_OF_ONE if of_one else {})
    if method in ("post", "put", "patch"):
        errors |= _WRITING
    for status, answer in operation["responses"].items():
        if status.isdecimal() and int(status) >= 400 and int(status) not in _EVERYWHERE:
            errors[int(status)] = answer["description"]
    if 404 in errors:
        errors[410] = "It was deleted; the detail says when and why."
    for status_code, description in sorted(errors.items()):
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"][str(status_code)] = {"description": description, "content": content}


def _link(paths: dict[str, Any]) -> None:
    """From the answer to each POST that makes something to what can be asked about it, and about its first job."""
    made = {path: operations["post"] for path, operations in paths.items() if _MAKES & set(_answers(operations))}
    for path, operation in made.items():
        found = _links_below(paths, path, "$response.body#/id")
        if "202" in operation["responses"]:
            found |= _links_below(paths, "/v1/jobs", "$response.body#/jobs/0/id")
        for status in _MAKES & set(operation["responses"]):
            operation["responses"][status]["links"] = found


def _answers(operations: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = operations.get("post", {}).get("responses", {})
    return answers


def _links_below(paths: dict[str, Any], collection: str, value: str) -> dict[str, Any]:
    """A link to every operation that needs one id of the collection and nothing else."""
    below = re.compile(re.escape(collection) + r"/{(\w+)}[^{}]*")
    return {
        operation["operationId"]: {"operationId": operation["operationId"], "parameters": {match[1]: value}}
        for path, operations in paths.items()
        if (match := below.fullmatch(path))
        for method, operation in operations.items()
        if method != "delete"
    }


def _make_integers_exact(node: Any) -> None:
    """FastAPI keeps bounds as floats, which read as decimals allow seeds above 2**63 and print as 1.0."""
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _make_integers_exact(value)
    if isinstance(node, dict) and node.get("type") == "integer":
        node.update({name: int(node[name]) for name in _BOUNDS if isinstance(node.get(name), float)})
