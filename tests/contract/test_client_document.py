"""Everything that the Python client sends and reads stands in the live OpenAPI document."""

import re
import types
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, cast, get_args, get_origin

import pytest
from pydantic import BaseModel

from defectsynth_client import (
    Decision,
    DecisionState,
    DeliveryState,
    announcing,
    calls,
    dataset_images,
    downloading,
    generation_images,
    plant,
    uploading,
)
from defectsynth_client.calling import Call, Reading
from defectsynth_client.calls import Deletion
from defectsynth_client.downloading import Downloading
from defectsynth_client.models import Dataset, Problem, Receipt
from defectsynth_client.operations import Listing, Operation, Operations
from defectsynth_client.requests import AdaptationSettings, GateSettings, GenerationSettings, RecognitionSettings
from defectsynth_client.uploading import NewImage, Uploading
from service.main import create_app
from service.settings import Settings

Document = dict[str, Any]
NAMES: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean", datetime: "string"}
#: An adapter, a dataset or an image is named by what the service answered: here by as much of it as is asked for.
SEEN = types.SimpleNamespace(
    id="adp_1", archive_sha256="0", links={"self": "/v1/datasets/ds_1", "content": "/v1/datasets/ds_1/images/img_1",
                                           "thumbnail": "/v1/datasets/ds_1/images/img_1/thumbnail",
                                           "report_html": "/v1/recognitions/rec_1/report.html"},
)  # fmt: skip
TO = Path("x.html")
REAL, OTHER = dataset_images("ds_1", "pits", "test"), generation_images("gen_1", "pits")
SAMPLES: dict[str, Any] = {
    "upload": uploading.upload([NewImage("pits", b"", "a.png", "train", "coil")], "x"),
    "replace_images": uploading.replace_images("ds_1", "pits", [NewImage("pits", b"")]),
    "dataset": calls.dataset("ds_1", version_id="dsv_1"),
    "datasets": calls.datasets(),
    "real_images": calls.real_images("ds_1", class_name="pits", version_id="dsv_1"),
    "adapt": calls.adapt(
        "ds_1", classes=["pits"], base_model="mini", settings=AdaptationSettings(), dataset_version_id="dsv_1",
        priority=1,
    ),
    "preflight": calls.preflight(
        "ds_1", classes=["pits"], base_model="mini", settings=AdaptationSettings(), dataset_version_id="dsv_1"
    ),
    "top_up": calls.top_up(
        generation_id="gen_1", adaptation_id="adn_1", recognition_id="rec_1", classes=["pits"], confusion_matrix=[[1]],
        recall_by_class={"pits": 0.5}, other_classes=["ok"], target_recall=0.9,
    ),
    "adaptation": calls.adaptation("adn_1"),
    "adaptations": calls.adaptations(),
    "adapter": calls.adapter("adp_1"),
    "adapters": calls.adapters(class_name="pits"),
    "generate": calls.generate(
        "adn_1", {"pits": 3}, adapter_ids=["adp_1"], settings=GenerationSettings(), gates=GateSettings(), seed=1,
        priority=1,
    ),
    "generate_from": calls.generate_from({"adapter_ids": ["adp_1"], "num_images": {"pits": 3}}),
    "generation": calls.generation("gen_1"),
    "generations": calls.generations(),
    "generation_report": calls.generation_report("gen_1"),
    "synthetic_images": calls.synthetic_images("gen_1", class_name="pits", decision=DecisionState.REJECT),
    "decide": calls.decide("gen_1", {"pits": {1: Decision.KEEP, 2: None}}),
    "thumbnail_bytes": calls.thumbnail_bytes(SEEN, 64),  # type: ignore[arg-type]
    "image_bytes": calls.image_bytes(SEEN),  # type: ignore[arg-type]
    "evaluate": calls.evaluate(REAL, OTHER, extractor="mini", priority=1),
    "evaluations": calls.evaluations(),
    "evaluation": calls.evaluation("evl_1"),
    "recognise": calls.recognise(
        "ds_1", "gen_1", classes=["pits", "dirt"], settings=RecognitionSettings(), dataset_version_id="dsv_1",
        priority=1,
    ),
    "recognitions": calls.recognitions(),
    "recognition": calls.recognition("rec_1"),
    "recognition_report": calls.recognition_report("rec_1"),
    "job": calls.job("job_1"),
    "jobs": calls.jobs(kind="adaptation", state="queued", resource_id="adn_1", class_name="pits"),
    "cancel": calls.cancel("job_1"),
    "delete": calls.delete(SEEN),  # type: ignore[arg-type]
    "base_models": plant.base_models(),
    "extractors": plant.extractors(),
    "classifiers": plant.classifiers(),
    "workers": plant.workers(),
    "readiness": plant.readiness(),
    "create_webhook": announcing.create_webhook(
        "https://qa.example.com", events=["job.failed"], description="line 3", resource_id="gen_1"
    ),
    "webhook": announcing.webhook("whk_1"),
    "webhooks": announcing.webhooks(),
    "change_webhook": announcing.change_webhook(
        "whk_1", url="https://qa.example.com", events=["job.failed"], description="line 3", enabled=True
    ),
    "rotate_secret": announcing.rotate_secret("whk_1"),
    "ping_webhook": announcing.ping_webhook("whk_1"),
    "deliveries": announcing.deliveries("whk_1", state=DeliveryState.FAILED),
    "replay": announcing.replay("whk_1", "dlv_1"),
    "download": downloading.download("/v1/adapters/adp_1/archive", TO),
    "download_archive": downloading.download_archive("gen_1", TO),
    "download_adapter": downloading.download_adapter(SEEN, TO),  # type: ignore[arg-type]
    "download_report": downloading.download_report(SEEN, TO),  # type: ignore[arg-type]
    "download_contact_sheet": downloading.download_contact_sheet("gen_1", "pits and dirt", TO),
}  # fmt: skip
#: What operations that follow a link, or are given a path, reach besides.
ALSO_REACHED = [
    *(f"DELETE /v1/{one}/x" for one in ("adaptations", "adapters", "generations", "evaluations", "recognitions",
                                        "webhooks")),
    *(f"GET /v1/{one}/x/report.html" for one in ("adaptations", "generations")),
    *(f"GET /v1/{one}/x/report.csv" for one in ("generations", "recognitions")),
    "GET /v1/generations/x/images/pits/1", "GET /v1/generations/x/images/pits/1/thumbnail",
    *(f"GET /v1/adaptations/x/classes/pits/trials/1/examples/1{one}" for one in ("", "/thumbnail")),
]  # fmt: skip
LEFT_OUT = {
    "GET /v1/jobs/{job_id}/events": "wait() follows it",
    "GET /v1/events": "wait() follows it",
    "GET /health/live": "an orchestrator asks it of each process",
    "GET /metrics": "Prometheus reads it",
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return create_app(Settings(data_dir=tmp_path_factory.mktemp("data"))).openapi()


def test_every_operation_of_the_client_is_looked_at() -> None:
    both = {name for name, value in vars(Operations).items() if isinstance(value, Operation | Listing)}
    assert set(SAMPLES) == both


def test_every_operation_of_the_service_is_one_of_the_client_or_left_out_for_a_reason(document: Document) -> None:
    offered = {
        f"{method.upper()} {path}" for path, route in document["paths"].items() for method in route if method != "head"
    }
    sent = {" ".join(asked(sample)[:2]) for sample in SAMPLES.values()} | set(ALSO_REACHED)
    reached = {operation_of(document, *one.split(" ", 1)) for one in sent}
    assert offered - reached == LEFT_OUT.keys()


def operation_of(document: Document, method: str, path: str) -> str:
    paths = document["paths"]
    (found,) = [path] if path in paths else [template for template in paths if matches(template, path)]
    assert method.lower() in paths[found], f"{method} {path}"
    return f"{method} {found}"


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_route_takes_what_the_client_sends_and_answers_what_it_reads(name: str, document: Document) -> None:
    sample = SAMPLES[name]
    method, path, model = asked(sample)
    route = route_of(document, path)[method.lower()]
    params = {one["name"] for one in route.get("parameters", []) if one["in"] == "query"}
    if isinstance(sample, Call):
        assert set(sample.request.params) <= params
        if sample.request.json is not None:
            body = route["requestBody"]["content"]["application/json"]["schema"]
            assert set(sample.request.json) <= set(resolved(body, document)["properties"])
    if isinstance(sample, Uploading):
        form = route["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert {*sample.fields, *uploading._parts(sample.source, None, None)[1]} <= set(form["properties"])  # type: ignore[arg-type]
    if model is not None:
        status = "200" if name == "preflight" else max(one for one in route["responses"] if one.startswith("2"))
        answer = route["responses"][status]["content"]["application/json"]["schema"]
        assert list(lacking(model, answer, document, model.__name__)) == []


def asked(sample: Any) -> tuple[str, str, type[BaseModel] | None]:
    match sample:
        case Call():
            model = sample.read.model if isinstance(sample.read, Reading) else None
            return sample.request.method, sample.request.path, model
        case Uploading():
            return sample.method, sample.path, Receipt
        case Downloading():
            return "GET", sample.path, None
        case Deletion():
            return "DELETE", sample.path, None
    raise AssertionError(sample)


def route_of(document: Document, path: str) -> Document:
    if path in document["paths"]:
        return cast(Document, document["paths"][path])
    [found] = [told for template, told in document["paths"].items() if matches(template, path)]
    assert isinstance(found, dict)
    return found


def matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path) is not None


def resolved(schema: Document, document: Document) -> Document:
    if "$ref" in schema:
        return resolved(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    return schema


def lacking(wanted: Any, schema: Document, document: Document, where: str) -> Iterator[str]:
    """What the document does not promise of what the client reads."""
    options = [resolved(one, document) for one in resolved(schema, document).get("anyOf", [schema])]
    types_wanted = [one for one in get_args(wanted) if one is not type(None)] if is_union(wanted) else [wanted]
    may_be_none = is_union(wanted) and type(None) in get_args(wanted)
    if any(one.get("type") == "null" for one in options) and not may_be_none:
        yield f"{where} may be null"
    answered = [one for one in options if one.get("type") != "null"]
    for one in types_wanted:
        told = [list(lacking_of_one(one, option, document, where)) for option in answered]
        yield from min(told, key=len)
    if len(types_wanted) < len(answered):
        yield f"{where} has {len(answered)} forms, and {len(types_wanted)} are read"


def is_union(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, types.UnionType)


def lacking_of_one(wanted: Any, schema: Document, document: Document, where: str) -> Iterator[str]:
    if wanted == dict[str, object] and schema.get("type") == "object":
        return  # passed on as it is
    container = {list: "items", dict: "additionalProperties"}.get(get_origin(wanted))
    if container is not None and container not in schema:
        yield f"{where} is {schema.get('type')}"
    elif get_origin(wanted) is list:
        yield from lacking(get_args(wanted)[0], schema["items"], document, f"{where}[]")
    elif get_origin(wanted) is dict:
        values = schema["additionalProperties"] or next(iter(schema["patternProperties"].values()))
        yield from lacking(get_args(wanted)[1], values, document, f"{where}{{}}")
    elif issubclass(wanted, BaseModel):  # in another form of a union it has no properties
        properties = schema.get("properties", {})
        for name, field in wanted.model_fields.items():
            if name not in properties:
                yield f"{where}.{name} is not answered"
                continue
            if field.is_required() and name not in schema.get("required", []):
                yield f"{where}.{name} may be left out"
            yield from lacking(field.annotation, properties[name], document, f"{where}.{name}")
    elif issubclass(wanted, StrEnum):
        if set(schema.get("enum", [])) != {one.value for one in wanted}:
            yield f"{where} is one of {schema.get('enum')}"
    elif schema.get("type") != NAMES[wanted] and not (wanted is float and schema.get("type") == "integer"):
        yield f"{where} is {schema.get('type')}"


def test_problems_are_read_as_they_are_documented(document: Document) -> None:
    assert list(lacking(Problem, {"$ref": "#/components/schemas/Problem"}, document, "Problem")) == []


@pytest.mark.parametrize("settings", [AdaptationSettings, GenerationSettings, GateSettings, RecognitionSettings])
def test_settings_have_exactly_the_fields_that_the_service_takes(settings: type, document: Document) -> None:
    schemas = document["components"]["schemas"]
    schema = schemas.get(f"{settings.__name__}-Input") or schemas[settings.__name__]
    check_fields(settings, schema, document)


def check_fields(settings: Any, schema: Document, document: Document) -> None:
    assert set(settings.__annotations__) == set(schema["properties"])
    for name, wanted in settings.__annotations__.items():
        told = resolved(schema["properties"][name], document)
        if hasattr(wanted, "__total__"):
            check_fields(wanted, told, document)
        elif "enum" in told:
            assert set(get_args(wanted)) == set(told["enum"])


def test_the_walk_would_notice_what_is_missing_renamed_or_null(document: Document) -> None:
    class Wrong(Dataset):
        colour: str
        name: int  # type: ignore[assignment]
        version: str  # type: ignore[assignment]

    schema = {"$ref": "#/components/schemas/DatasetView"}
    assert list(lacking(Wrong, schema, document, "Wrong")) == [
        "Wrong.name is string", "Wrong.version is object", "Wrong.colour is not answered",
    ]  # fmt: skip
    nullable = {"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"type": "null"}]}
    assert list(lacking(dict[str, str], nullable, document, "x")) == ["x may be null"]
