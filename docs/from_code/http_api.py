"""The HTTP API, of the OpenAPI document that the application gives."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.main import create_app
from service.settings import Settings

Json = dict[str, Any]
_BOUNDS = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "minLength": "{} characters at least", "maxLength": "{} at most", "minItems": "{} items at least",
    "maxItems": "{} items at most", "pattern": "`{}`",
}  # fmt: skip


def document() -> Json:
    """What `/openapi.json` answers, of an application whose record is empty."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=Path(folder), database_url=None, broker_url=None, artifacts_url=None, base_models=None,
            extractor="mini", host="127.0.0.1", require_keys=False, admin_key=None, key_secret=None,
        )  # fmt: skip
        app = create_app(settings, send=lambda kind, job_id: True)
        try:
            return app.openapi()
        finally:
            app.state.parts.database.close()


def operations(document: Json) -> str:
    """Every operation, by resource."""
    by_tag: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation.get("tags", ["other"])[0], []).append((method.upper(), path, operation))
    lines = ["# HTTP API", "", document["info"]["description"], ""]
    lines += [
        "Made of [the OpenAPI document](openapi.json), which a running service gives at `/openapi.json`; at `/docs` it"
        " can be tried out. Words in *italics* of a path are yours. What is sent and answered: [data](http-data.md)."
        " What goes wrong: [error codes](errors.md).",
        "",
    ]
    for tag, members in by_tag.items():
        lines += [f"## {tag.capitalize()}", ""]
        for method, path, operation in members:
            lines += _operation(method, path, operation)
    return "\n".join(lines)


def data(document: Json) -> str:
    """Every schema of the document."""
    lines = ["# Data of the HTTP API", "", "What requests hold and answers say; made of the OpenAPI document.", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        if not name.startswith("PageView_"):
            lines += [f"## {name} {{ #{name.lower()} }}", "", *_schema(schema), ""]
    return "\n".join(lines)


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    shown = re.sub(r"{(.*?)}", r"*\1*", path)
    yield from (f"### {method} {shown} {{ #{operation['operationId']} }}", "")
    yield from (operation.get("description") or operation["summary"], "")
    if parameters := [one for one in operation.get("parameters", []) if one["in"] != "path"]:
        yield from ("| parameter | in | type | |", "|---|---|---|---|")
        for one in parameters:
            yield _row(f"`{one['name']}`", one["in"], _type(one["schema"]), _told(one["schema"], one))
        yield ""
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        yield from (f"**Body**, `{kind}`: {_type(body['schema'])}", "")
        yield from _examples(body)
    yield from ("| status | answer | |", "|---|---|---|")
    for status, answer in operation["responses"].items():
        if status.startswith(("2", "3")):
            kinds = [f"`{kind}`" if kind != "application/json" else "" for kind in answer.get("content", {})]
            shapes = [_type(one.get("schema", {})) for one in answer.get("content", {}).values()]
            told = " ".join(filter(None, [*kinds, *shapes]))
            yield _row(status, told, answer["description"].replace("Successful Response", ""))
    refused = sorted(status for status in operation["responses"] if status.startswith(("4", "5")))
    if refused:
        yield _row(", ".join(refused), "[Problem](http-data.md#problem)", "")
    yield ""


def _examples(body: Json) -> Iterator[str]:
    for name, example in body.get("examples", {}).items():
        yield from (f'??? example "{name}"', "", "    ```json")
        yield from (f"    {line}" for line in json.dumps(example["value"], indent=2).splitlines())
        yield from ("    ```", "")


def _schema(schema: Json) -> Iterator[str]:
    if schema.get("description"):
        yield from (_plain(schema["description"]), "")
    if "enum" in schema:
        yield ", ".join(f"`{one}`" for one in schema["enum"])
    elif schema.get("properties"):
        required = set(schema.get("required", []))
        yield from ("| field | type | |", "|---|---|---|")
        for name, field in schema["properties"].items():
            yield _row(f"`{name}`{' *' if name in required else ''}", _type(field), _told(field, field))
        yield from ("", "\\* always there" if required else "")


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if page := re.fullmatch(r"PageView_(\w+)_", name):
            return f"page of [{page[1]}](http-data.md#{page[1].lower()})"
        return f"[{name}](http-data.md#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[several]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(more := schema.get("additionalProperties"), dict):
        return f"object of {_type(more)}"
    return str(schema.get("format") if schema.get("format") == "date-time" else schema.get("type", "anything"))


def _told(schema: Json, described: Json) -> str:
    """Description, bounds and default."""
    parts = [_plain(described.get("description", ""))]
    bounded = [schema, *schema.get("anyOf", [])]
    parts += [said.format(one[name]) for one in bounded for name, said in _BOUNDS.items() if name in one]
    if schema.get("default") is not None and not isinstance(schema["default"], dict):
        parts.append(f"Default `{json.dumps(schema['default'])}`")
    return "; ".join(filter(None, (part.rstrip(".") for part in parts)))


def _plain(text: str) -> str:
    """A docstring's double backticks are Markdown's single ones."""
    return text.replace("``", "`")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
