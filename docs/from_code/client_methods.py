"""The Python client: each operation as a method, and the classes through mkdocstrings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

import defectsynth_client
from defectsynth_client.operations import Listing, Operation, Operations

_SOURCE = Path(defectsynth_client.__file__).parents[1]
_INTRODUCTION = """\
# Python client

`defectsynth-client` is a package of its own (`pip install ./client`; httpx and pydantic, nothing else). `Client`
blocks; `AsyncClient` has the same methods, awaited, and lists that are iterated with `async for`.

```python
from defectsynth_client import Client

with Client() as client:  # DEFECTSYNTH_URL and DEFECTSYNTH_API_KEY, or Client(url, key)
    dataset = client.upload("images", name="line 3")
```

Uploads are streamed. Every POST carries an `Idempotency-Key`, so that what is sent again is not done twice. Connection
failures, 429, 502, 503 and 504 are tried again for as long as `Retries` says. Downloads go on where they broke off, are
compared with the digest that the service announces, and appear under their name when they are whole.
"""
_CLASSES = (
    ("The clients", "Client AsyncClient Retries NewImage dataset_images generation_images"),
    ("Settings that can be sent", "AdaptationSettings GenerationSettings GateSettings RecognitionSettings"),
    (
        "What is answered",
        "Receipt Dataset RealImage Adaptation Adapter Generation SyntheticImage Decision DecisionState Decisions "
        "GenerationReport Evaluation Recognition RecognitionReport Job State Preflight TopUp GenerationProposal "
        "Webhook WebhookWithSecret WebhookState Delivery DeliveryState",
    ),
    (
        "What the service tells about itself",
        "Readiness Worker BaseModelEntry ExtractorEntry ClassifierEntry",
    ),
    (
        "Errors",
        "DefectsynthError Unreachable ApiError NotAllowed NotFound Gone Conflict Refused LimitReached ServiceFailed "
        "AnswerUnreadable WorkFailed WaitedTooLong DownloadDamaged",
    ),
)


def page() -> str:
    """Methods first, then the classes. Every public name must be in one of the lists."""
    listed = {name for _, names in _CLASSES for name in names.split()}
    if listed != set(defectsynth_client.__all__):
        raise ValueError(f"not as defectsynth_client.__all__: {listed ^ set(defectsynth_client.__all__)}")
    lines = [_INTRODUCTION, "## Operations", ""]
    for name, operation in vars(Operations).items():
        if isinstance(operation, Operation | Listing):
            lines += _method(name, operation)
    for title, names in _CLASSES:
        lines += [f"## {title}", ""]
        for name in names.split():
            lines += [f"::: defectsynth_client.{name}", "    options:", "      show_if_no_docstring: true", ""]
    return "\n".join(lines)


def _method(name: str, operation: Any) -> Iterator[str]:
    made = operation._make
    function = griffe.load(made.__module__, search_paths=[_SOURCE])[made.__name__]
    yield from (f"### {name} {{ #{name} }}", "", "```python", *_signature(name, function), "```", "")
    yield from (function.docstring.value.replace("``", "`"), "")


def _signature(name: str, function: griffe.Function) -> Iterator[str]:
    """One parameter a line, as a caller of ``Client`` sees it."""
    yield f"client.{name}("
    is_keyword = False
    for one in function.parameters:
        if one.kind is griffe.ParameterKind.keyword_only and not is_keyword:
            is_keyword = True
            yield "    *,"
        yield f"    {one.name}: {one.annotation}{f' = {one.default}' if one.default is not None else ''},"
    yield f") -> {_given(function)}"


def _given(function: griffe.Function) -> str:
    """What a caller gets: ``Call[Page[Job]]`` is iterated over, ``Call[Job]`` or what plans a ``Job`` gives one."""
    planned = str(function.returns)
    if match := re.fullmatch(r"Call\[Page\[(.+)\]\]", planned):
        return f"Iterator[{match[1]}]"
    if not planned.startswith("Call["):
        planned = str(function.module[planned]["plan"].returns)
    match = re.fullmatch(r"(?:Call|Plan)\[(.+)\]", planned)
    if match is None:
        raise ValueError(f"{function.path} gives {planned}, of which nobody knows what a caller gets")
    return match[1]
