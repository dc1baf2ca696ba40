"""A gallery of 10,000 images: ``python -m tests.benchmarks.gallery``. Needs PostgreSQL; prints a table in a minute."""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from starlette.testclient import TestClient

from service.contracts.ids import DEFAULT_TENANT
from service.logs import configure_logs
from service.main import create_app
from service.settings import Settings
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from service.store.tables import GeneratedImageRow, GenerationRow
from tests import servers
from tests.fakes.pictures import encoded, noise

NUM_GENERATIONS, NUM_IMAGES, NUM_DRAWN, SIDE_PX = 5, 10_000, 200, 200
GENERATION = "/v1/generations/gen_2"


def fill(database: Database, artifacts: LocalArtifacts) -> None:
    """Generations of one class; ``NUM_DRAWN`` different pictures stand for all of their images."""
    now = datetime.now(UTC)
    drawn = [artifacts.put_bytes(encoded(noise(seed, (SIDE_PX, SIDE_PX)))) for seed in range(NUM_DRAWN)]
    with database.transaction() as session:
        for generation in (f"gen_{number}" for number in range(NUM_GENERATIONS)):
            session.add(GenerationRow(id=generation, tenant_id=DEFAULT_TENANT, seed=1, settings={}, created_at=now))
            session.flush()
            session.execute(
                insert(GeneratedImageRow),
                [_row(generation, number, drawn[number % NUM_DRAWN].sha256) for number in range(NUM_IMAGES)],
            )


def _row(generation: str, number: int, sha256: str) -> dict[str, Any]:
    return {
        "generation_id": generation, "class_name": "pits", "number": number, "tenant_id": DEFAULT_TENANT,
        "job_id": "job_1", "sha256": sha256, "size_bytes": 1, "width_px": SIDE_PX, "height_px": SIDE_PX, "mode": "L",
        "seed": number, "nearest_image_id": f"img_{number}", "source_image_id": f"img_{number}",
    }  # fmt: skip


def milliseconds(work: Callable[[], object], times: int = 9) -> float:
    """The median."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def page(client: TestClient, **params: Any) -> dict[str, Any]:
    answer = client.get(f"{GENERATION}/images", params={"limit": 200, **params})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def walked(client: TestClient, **params: Any) -> list[str]:
    """The cursors of all pages."""
    cursors, told = [], page(client, **params)
    while told["next_cursor"] is not None:
        cursors.append(told["next_cursor"])
        told = page(client, cursor=cursors[-1], **params)
    return cursors


def decide(client: TestClient, numbers: range, decision: str | None) -> None:
    named = [{"class_name": "pits", "number": number, "decision": decision} for number in numbers]
    answer = client.put(f"{GENERATION}/images/decisions", json={"decisions": named})
    assert answer.status_code == 200, answer.text


def thumbnails(client: TestClient) -> None:
    for one in page(client)["items"]:
        assert client.get(one["links"]["thumbnail"]).status_code == 200


def measured(settings: Settings) -> dict[str, float]:
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    artifacts = LocalArtifacts(settings.artifacts_dir)
    fill(database, artifacts)
    app = create_app(settings, database=database, artifacts=artifacts, send=lambda kind, job_id: True)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        last = walked(client)[-1]
        found = {
            "first page of 200, ms": milliseconds(lambda: page(client)),
            "last page of 200, ms": milliseconds(lambda: page(client, cursor=last, class_name="pits")),
            "one decision, ms": milliseconds(lambda: decide(client, range(1), "keep")),
        }
        turns = iter(["reject", "keep"] * 10)
        found["1,000 decisions, ms"] = milliseconds(lambda: decide(client, range(1000), next(turns)))
        for first in range(0, NUM_IMAGES, 1000):
            decide(client, range(first, first + 1000), "reject" if first < 5000 else None)
        found["page of 200 rejected, ms"] = milliseconds(lambda: page(client, decision="reject"))
        found["page of 200 undecided, ms"] = milliseconds(lambda: page(client, decision="undecided"))
        found["200 thumbnails made, ms"] = milliseconds(lambda: thumbnails(client), 1)
        found["200 thumbnails remembered, ms"] = milliseconds(lambda: thumbnails(client), 3)
    database.close()
    return found


def main() -> None:
    configure_logs("error")
    with tempfile.TemporaryDirectory() as folder, servers.postgres() as postgres:
        rows = {
            name: measured(Settings(data_dir=Path(folder) / name, database_url=url))
            for name, url in (("SQLite", None), ("PostgreSQL", postgres))
        }
    print(f"{'':34}" + "".join(f"{name:>12}" for name in rows))
    for what in next(iter(rows.values())):
        print(f"{what:34}" + "".join(f"{found[what]:12.1f}" for found in rows.values()))


if __name__ == "__main__":
    main()
