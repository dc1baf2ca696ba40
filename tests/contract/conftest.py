"""The API as a client sees it: either database, and a sender that only remembers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.contracts.adaptations import AdaptationSettings
from service.contracts.generations import GeneratedImage
from service.contracts.ids import DEFAULT_TENANT, AdaptationId, AdapterId, GenerationId, JobId, TenantId, new_id
from service.contracts.jobs import JobKind, JobState
from service.main import create_app
from service.settings import Settings
from service.store import adapters, generations, jobs
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from tests.fakes.pictures import png


@dataclass
class Sender:
    """Remembers what was sent; ``reachable`` False is a broker that is out."""

    sent: list[tuple[JobKind, JobId]] = field(default_factory=list)
    reachable: bool = True

    def __call__(self, kind: JobKind, job_id: JobId) -> bool:
        self.sent.append((kind, job_id))
        return self.reachable


@dataclass
class World:
    """One running API, what stands behind it, and whose records its client makes."""

    app: FastAPI
    client: TestClient
    database: Database
    artifacts: LocalArtifacts
    sender: Sender
    tenant_id: TenantId = DEFAULT_TENANT

    def dataset(self, classes: dict[str, int]) -> dict[str, Any]:
        """Upload that many distinct train images of each class."""
        names = [(name, number) for name, count in classes.items() for number in range(count)]
        files = [
            ("images", (f"{name}/{number}.png", png(1000 * index + number)))
            for index, (name, number) in enumerate(names)
        ]
        answer = self.client.post("/v1/datasets", files=files)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def adaptation(self, classes: dict[str, int]) -> dict[str, Any]:
        """A queued adaptation of a new dataset."""
        answer = self.client.post("/v1/adaptations", json={"dataset_id": self.dataset(classes)["id"]})
        assert answer.status_code == 202, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def finish(self, adaptation: dict[str, Any]) -> list[str]:
        """Do what a worker does at the end of each adaptation job; the adapters' ids in the order of classes."""
        made = []
        with self.database.transaction() as session:
            for job in adaptation["jobs"]:
                adapter_id = AdapterId(new_id("adp"))
                adapters.insert(
                    session,
                    self.tenant_id,
                    adapter_id,
                    AdaptationId(adaptation["id"]),
                    JobId(job["id"]),
                    job["class_name"],
                    "mini",
                    self.artifacts.put_bytes(job["id"].encode()),
                    AdaptationSettings(),
                    datetime.now(UTC),
                )
                made.append(adapter_id)
                row = jobs.get(session, self.tenant_id, job["id"])
                row.state = JobState.SUCCEEDED
                row.revision += 1
        return made

    def publish(self, generation_id: str, job_id: str, class_name: str, num_images: int) -> None:
        """Do what a worker does with the images of a generation job."""
        stored = [self.artifacts.put_bytes(png(900 + number)) for number in range(num_images)]
        images = [
            GeneratedImage(
                class_name=class_name, number=number, sha256=one.sha256, size_bytes=one.size_bytes, width_px=64,
                height_px=64, mode="L", seed=number, source_image_id=None,
            )
            for number, one in enumerate(stored)
        ]  # fmt: skip
        with self.database.transaction() as session:
            generations.insert_images(session, self.tenant_id, GenerationId(generation_id), JobId(job_id), images)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path,
        database_url=database_url,
        max_request_bytes=4_000_000,
        max_json_bytes=10_000,
        max_files_per_request=40,
        max_image_side_px=4_000,
        max_image_pixels=4_000_000,
        max_zip_entries=50,
        max_zip_expanded_bytes=20_000_000,
        max_queued_jobs=20,
    )


@contextmanager
def opened(settings: Settings, headers: Mapping[str, str] | None = None) -> Iterator[World]:
    """An API with these settings and a client that sends these headers. Its lifespan is begun by ``with client``."""
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    artifacts, sender = LocalArtifacts(settings.artifacts_dir), Sender()
    app = create_app(settings, database=database, artifacts=artifacts, send=sender)
    client = TestClient(app, base_url="http://127.0.0.1", headers=dict(headers or {}), raise_server_exceptions=False)
    yield World(app, client, database, artifacts, sender)
    database.close()


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    with opened(settings) as world, world.client:
        yield world
