"""From an upload to a verdict: the API and a real worker process, on files and SQLite, and on Redis and PostgreSQL."""

import time
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from service.contracts.recognitions import Arm, RecognitionResult
from service.main import create_app
from tests.fakes.pictures import encoded, zipped
from tests.fakes.worker_world import World, quick

CLASSES = ("bright pits", "dark pits")
COUNTS = {"train": 4, "validation": 2, "test": 3}
SETTINGS = {"ratios": [0.5, 1], "num_seeds": 2, "num_selection_seeds": 1, "steps": 5, "image_size_px": 32}
NO_GATES = {"copies": False, "wrong_class": False, "outliers": False}


def archive() -> bytes:
    """Grain about a light and a dark grey, in all three splits."""
    draws = np.random.default_rng(0)
    return zipped({
        f"{split}/{name}/{number}.png": encoded(
            Image.fromarray(np.clip(draws.normal(middle, 20, (36, 40)), 0, 255).astype(np.uint8))
        )
        for name, middle in zip(CLASSES, (190, 70), strict=True)
        for split, count in COUNTS.items()
        for number in range(count)
    })  # fmt: skip


def done(world: World, client: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The resource when all of its jobs have succeeded."""
    answer = client.post(path, json=body)
    assert answer.status_code == 202, answer.text
    give_up_at = time.monotonic() + 120
    while (found := client.get(answer.headers["Location"]).json())["state"] in ("queued", "running"):
        assert time.monotonic() < give_up_at, found
        time.sleep(0.1)
    log = (world.data_dir / "processes.log").read_text()
    assert found["state"] == "succeeded", f"{found}\n{log[-4000:]}"
    resource: dict[str, Any] = found
    return resource


def test_uploaded_adapted_generated_and_recognised(world: World) -> None:
    settings = quick().model_dump(mode="json") | {"search": {"max_trials": 0}}
    app = create_app(world.settings, database=world.database, artifacts=world.artifacts)
    with world.running("worker"), TestClient(app, base_url="http://127.0.0.1") as client:
        dataset = client.post("/v1/datasets", files={"archive": ("set.zip", archive())}).json()
        adaptation = done(world, client, "/v1/adaptations", {"dataset_id": dataset["id"], "settings": settings})
        asked = {"adaptation_id": adaptation["id"], "num_images": 4, "gates": NO_GATES}
        generation = done(world, client, "/v1/generations", asked)
        named = {"dataset_id": dataset["id"], "generation_id": generation["id"], "settings": SETTINGS}
        recognition = done(world, client, "/v1/recognitions", named)
        report = client.get(recognition["links"]["report"]).json()
    found = RecognitionResult.model_validate(report["result"])
    assert found.classes == list(CLASSES)
    assert {arm.arm: (arm.num_real, arm.num_synthetic > 0) for arm in found.arms} == {
        Arm.REAL_ONLY: (8, False), Arm.REAL_AUGMENTED: (8, False), Arm.REAL_PLUS_SYNTHETIC: (8, True),
    }  # fmt: skip
    assert found.num_images == dict.fromkeys(CLASSES, COUNTS)
    assert found.num_synthetic_images == dict.fromkeys(CLASSES, 4)
    assert found.sentence
    assert not any((world.data_dir / "work").iterdir())
