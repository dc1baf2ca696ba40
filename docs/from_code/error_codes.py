"""Every error code that a client may read, of the errors' trees and of the places that name one of their own."""

import ast
from collections.abc import Iterator
from pathlib import Path

from models.errors import Canceled, Interrupted, ModelError
from service.errors import ServiceError
from worker.failures import MODEL_ERRORS

_ROOT = Path(__file__).resolve().parents[2]
_INTRODUCTION = """\
# Error codes

Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems (`application/problem+json`): `title` and
`detail` say what happened, `code` is stable and there for programs, `field` names what was at fault in the request,
`remedy` says what to do. `request_id` is in the service's log.

```json
{"status": 422, "code": "unknown_base_model", "title": "Unknown base model", "field": "base_model",
 "detail": "no base model is named 'sd99'", "remedy": "Choose a registered name from GET /v1/base-models."}
```
"""


def page() -> str:
    """Answers first, then what ends a job."""
    lines = [_INTRODUCTION, "## Of answers", "", "| status | code | meaning | remedy |", "|---|---|---|---|"]
    for error in sorted(_tree(ServiceError), key=lambda one: one.status):
        lines.append(f"| {error.status} | `{error.code}` | {_told(error)} | {error.remedy} |")
    lines += ["", "Where it helps to tell a case apart, it has a code of its own under the same status:", ""]
    lines += ["| status | code |", "|---|---|"]
    lines += [f"| {status} | {codes} |" for status, codes in _special().items()]
    lines += [
        "",
        "## Of jobs that failed",
        "",
        "`failure` of a job has `code`, `message`, `remedy`, and `retryable`: whether the same job may succeed another"
        " time. Codes of answers (`artifact_damaged`, `storage_full`) occur here, too, and these:",
        "",
        "| code | meaning | remedy, unless the failure has one of its own |",
        "|---|---|---|",
    ]
    for kind, border in MODEL_ERRORS.items():
        if kind not in (Interrupted, Canceled):
            lines.append(f"| `{kind.code}` | {_told(kind)} | {border.remedy} |")
    for code, message, remedy in _failures():
        lines.append(f"| `{code}` | {message} | {remedy} |")
    return "\n".join(lines)


def _tree(error: type[ServiceError]) -> Iterator[type[ServiceError]]:
    yield error
    for below in error.__subclasses__():
        yield from _tree(below)


def _told(error: type[ServiceError] | type[ModelError]) -> str:
    if error is ServiceError:
        return "Something that was not foreseen; the log has the request id."
    if error is ModelError:
        return "Any other failure of training, generation or measurement."
    return " ".join((error.__doc__ or "").split()).replace("``", "`")


def _special() -> dict[int, str]:
    """Codes that are given where an error is raised: ``InvalidRequest(..., code="test_images_seen")``, by status."""
    named = {error.__name__: error for error in _tree(ServiceError)}
    found: dict[int, set[str]] = {}
    for call in _calls("service"):
        error = named.get(call.func.id) if isinstance(call.func, ast.Name) else None
        code = _words(call).get("code")
        if error is not None and code:
            found.setdefault(error.status, set()).add(code)
    usual = {error.code for error in named.values()}
    return {status: ", ".join(f"`{one}`" for one in sorted(codes - usual)) for status, codes in sorted(found.items())}


def _failures() -> Iterator[tuple[str, str, str]]:
    """Failures that are no error of the trees: ``JobFailure(code="out_of_memory", ...)``."""
    for call in [*_calls("worker"), *_calls("service/store")]:
        words = _words(call)
        if isinstance(call.func, ast.Name) and call.func.id == "JobFailure" and "message" in words:
            yield words.get("code", "storage_full"), words["message"], words.get("remedy", "")


def _calls(folder: str) -> Iterator[ast.Call]:
    for path in sorted((_ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield node


def _words(call: ast.Call) -> dict[str, str]:
    return {
        one.arg: one.value.value
        for one in call.keywords
        if one.arg and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str)
    }
