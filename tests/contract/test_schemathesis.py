"""Schemathesis over the whole OpenAPI document: everything it knows to check, against an API that holds real records.

`make fuzz` runs it longer: SCHEMATHESIS_EXAMPLES is how many requests it draws for each operation.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from pydantic import SecretStr
from schemathesis.engine import events, from_schema
from schemathesis.engine.run import PhaseName
from schemathesis.transport.serialization import Binary

from service.contracts.ids import DEFAULT_TENANT
from service.settings import Settings
from service.store import trial_examples
from tests.contract.conftest import World, opened
from tests.contract.test_gallery import examples
from tests.contract.test_recognitions import generated, three_classes
from tests.fakes.pictures import png, zipped

KEY = "k" * 32
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
#: Streams of events are read to their end, which would be that of the job.
BOUNDS: dict[str, Any] = {"max_queued_jobs": 100_000, "max_event_stream_seconds": 0.01}
UPLOADS = {"POST /v1/datasets", "PUT /v1/datasets/{dataset_id}/classes/{class_name}/images"}


def filled(world: World) -> dict[str, list[str | int]]:
    """Put a dataset, adapters, a generation, an evaluation, a recognition and a webhook in; ids by path parameter."""
    images = three_classes(world)
    generation = generated(world, images["id"])
    asked = {"dataset_id": images["id"], "generation_id": generation["id"]}
    recognition = world.client.post("/v1/recognitions", json=asked).json()
    real = {"source": "dataset", "dataset_id": images["id"], "class_name": "pits", "split": "train"}
    made = {"source": "generation", "generation_id": generation["id"], "class_name": "pits"}
    evaluation = world.client.post("/v1/evaluations", json={"real": real, "other": made}).json()
    webhook = world.client.post("/v1/webhooks", json={"url": "https://8.8.8.8/"}).json()  # Nothing here sends.
    delivery = world.client.post(f"{webhook['links']['self']}/ping").json()
    adaptation_id = world.client.get("/v1/adaptations").json()["items"][0]["id"]
    with world.database.transaction() as session:
        trial_examples.replace(session, DEFAULT_TENANT, adaptation_id, "pits", examples(world, 1, "img_gone"))
    return {
        "dataset_id": [images["id"]],
        "image_id": [world.client.get(images["links"]["images"]).json()["items"][0]["id"]],
        "class_name": ["pits"],
        "number": [0],
        "trial": [0],
        "adaptation_id": [adaptation_id],
        "adapter_id": [generation["classes"][0]["adapter_id"]],
        "generation_id": [generation["id"]],
        "evaluation_id": [evaluation["id"]],
        "recognition_id": [recognition["id"]],
        "webhook_id": [webhook["id"]],
        "delivery_id": [delivery["id"]],
        "job_id": [generation["jobs"][0]["id"], recognition["jobs"][0]["id"]],
    }


def config(ids: dict[str, list[str | int]], key: str | None) -> schemathesis.Config:
    """Every check and phase. A 422 for what no schema can say (an unknown class) is no fault; see `never_refused`."""
    told: dict[str, Any] = {
        "seed": 1,
        "continue-on-failure": True,
        "generation": {"max-examples": EXAMPLES, "deterministic": True, "no-shrink": True, "database": "none"},
        # Walks draw at random which answers they go on from, so that there are more of them than of single requests.
        "phases": {"stateful": {"max-steps": 5, "generation": {"max-examples": 4 * EXAMPLES}}},
        "checks": {
            "positive_data_acceptance": {"expected-statuses": ["2xx", "304", "404", "409", "410", "416", "422", "429"]}
        },
        # It takes the dataset's own id for that of a version, and finds no such version.
        "operations": [
            {
                "include-path": "/v1/datasets/{dataset_id}",
                "checks": {"ensure_resource_availability": {"enabled": False}},
            }
        ],
        "dictionaries": {name: {"values": values} for name, values in ids.items()},
        "parameters": {f"path.{name}": {"dictionary": name, "probability": 0.6} for name in ids},
    }
    if key is not None:
        told["auth"] = {"openapi": {"bearer": {"bearer": key}}}
    return schemathesis.Config.from_dict(told)


@schemathesis.check
def never_refused(ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """What the document allows, the validator allows: only it lists `errors`, and only for what breaks the schema."""
    meta = case.meta
    if meta is None or meta.generation.mode is not schemathesis.GenerationMode.POSITIVE or response.status_code != 422:
        return
    assert "errors" not in response.json(), f"the schema allows what the validator refuses: {response.text}"


def with_pictures(context: schemathesis.HookContext, body: Any) -> Any:
    """Random bytes are no images: a form as the document wants it gets images, or nothing would ever be accepted."""
    label = context.operation.label if context.operation is not None else ""
    if label not in UPLOADS or not isinstance(body, dict) or not all(map(is_text, body.values())):
        return body
    if set(body) <= {"archive", "name"}:
        return {"archive": Binary(zipped({f"pits/{seed}.png": png(seed) for seed in range(4)}))}
    if body.get("images") and set(body) <= {"images", "name", "classes", "splits", "groups"}:
        classes = {"classes": ["pits"] * 4} if label.startswith("POST") else {}
        return {"images": [Binary(png(seed)) for seed in range(4)], **classes}
    return body


def is_text(value: object) -> bool:
    """A string, or a list of strings: schemathesis draws files as strings, too."""
    return all(isinstance(one, str) for one in (value if isinstance(value, list) else [value]))


@dataclass
class Found:
    """Each kind of failure with one example, how often each status was answered, and how the document's links fared.

    ``followed``: (operation, operation) whose second was sent what the first had answered, with the status, by the
    stateful phase.
    """

    failures: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    followed: Counter[tuple[str, str, int]] = field(default_factory=Counter)


def run(world: World, told: schemathesis.Config) -> Found:
    """All phases."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", world.app, config=told)
    schema.hooks.hook("map_body")(with_pictures)
    found = Found()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.failures[f"the run itself: {type(event).__name__}"] = str(vars_of(event))
        if isinstance(event, events.ScenarioFinished):
            answers = {key: one.response for key, one in event.recorder.interactions.items() if one.response}
            found.statuses.update(answer.status_code for answer in answers.values())
            found.failures.update(failed(event))
            if event.phase is PhaseName.STATEFUL_TESTING:
                found.followed.update(links(event, answers))
    return found


def links(event: events.ScenarioFinished, answers: dict[str, schemathesis.Response]) -> Iterator[tuple[str, str, int]]:
    cases = event.recorder.cases
    for key, case in cases.items():
        if case.is_transition_applied and case.parent_id is not None and key in answers:
            first, second = (one.value.operation.label for one in (cases[case.parent_id], case))
            yield first, second, answers[key].status_code


def vars_of(event: Any) -> Any:
    return getattr(event, "value", None) or getattr(event, "exception", None)


def failed(event: events.ScenarioFinished) -> dict[str, str]:
    return {
        f"{event.recorder.cases[case_id].value.operation.label}: {check.name}": (
            f"{check.failure_info.failure.message}\n{check.failure_info.code_sample}"
        )
        for case_id, checks in event.recorder.checks.items()
        for check in checks
        if check.failure_info is not None
    }


def test_without_keys_nothing_crashes_and_every_answer_is_documented(
    tmp_path: Path, postgres_database_url: str
) -> None:
    # The name that schemathesis gives an application in the same process.
    settings = Settings(data_dir=tmp_path, database_url=postgres_database_url, allowed_hosts="testserver", **BOUNDS)
    # No lifespan: schemathesis keeps one of its own until the interpreter ends, and closing twice is harmless.
    with opened(settings) as world:
        found = run(world, config(filled(world), None))
    assert not found.failures, "\n\n".join(f"{what}\n{told}" for what, told in found.failures.items())
    assert {200, 201, 202, 204, 404, 405, 409, 415, 422} <= set(found.statuses), found.statuses
    check_followed(found)


def check_followed(found: Found) -> None:
    """The stateful phase ran: what one operation had answered was read, and changed, by others."""
    fared_well = {f"{first} -> {second}" for first, second, status in found.followed if status < 300}
    assert len(fared_well) >= 5, fared_well
    assert any(" -> GET " in link for link in fared_well), fared_well
    assert not all(" -> GET " in link for link in fared_well), fared_well


def test_with_a_key_the_same_holds_and_no_route_forgets_to_ask(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, admin_key=SecretStr(KEY), **BOUNDS)
    with opened(settings, {"X-API-Key": KEY}) as world:
        found = run(world, config(filled(world), KEY))
    assert not found.failures, "\n\n".join(f"{what}\n{told}" for what, told in found.failures.items())
    assert 401 in found.statuses, "nothing was asked without a key"
    check_followed(found)
