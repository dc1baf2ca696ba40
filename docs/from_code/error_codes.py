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
    """Answers first, then what ends a job, then what is said of single images."""
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
    lines += [f"| `{code}` | {message} | {remedy} |" for code, message, remedy in _failures()]
    lines += [
        "",
        "## Of images that were refused",
        "",
        "An upload keeps its good images and names the others in `refused`, each with `filename` and these; … is what"
        " the case puts in:",
        "",
        "| code | reason | remedy |",
        "|---|---|---|",
    ]
    lines += [f"| `{code}` | {reason} | {remedy} |" for code, reason, remedy in _refusals()]
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
    for call in _calls("service", *named):
        if isinstance(call.func, ast.Name) and (code := _words(call).get("code")):
            found.setdefault(named[call.func.id].status, set()).add(code)
    usual = {error.code for error in named.values()}
    return {status: ", ".join(f"`{one}`" for one in sorted(codes - usual)) for status, codes in sorted(found.items())}


def _failures() -> Iterator[tuple[str, ...]]:
    """Failures that are no error of the trees."""
    for call in [*_calls("worker", "JobFailure"), *_calls("service/store", "JobFailure")]:
        words = _words(call)
        if words.keys() >= {"code", "message", "remedy"}:
            yield words["code"], words["message"], words["remedy"]
    for call in _calls("worker", "OutOfBounds"):
        yield tuple(map(_text, call.args))


def _refusals() -> list[tuple[str, ...]]:
    """Of single images: ``ImageRefusal(code, reason, remedy)``."""
    return sorted({tuple(_text(one) or "…" for one in call.args) for call in _calls("service", "ImageRefusal")})


def _calls(folder: str, *names: str) -> Iterator[ast.Call]:
    """Every call of one of the names in the folder."""
    for path in sorted((_ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield node


def _words(call: ast.Call) -> dict[str, str]:
    """The arguments that are told by name and are texts."""
    return {one.arg: text for one in call.keywords if one.arg and (text := _text(one.value))}


def _text(node: ast.expr) -> str:
    """A text as it stands in the code, with an ellipsis for what is put in later; empty where it is none."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
