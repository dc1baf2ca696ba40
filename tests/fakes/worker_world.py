"""A service's record and files without its HTTP side: what worker processes need to have something to do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sqlalchemy.orm import undefer

from models.evaluation.mini import MiniConfig, MiniNetwork, save_mini
from service.contracts.adaptations import AdaptationParams, AdaptationSettings, LoraSettings, TextualInversionSettings
from service.contracts.datasets import Split
from service.contracts.evaluations import EvaluationParams, EvaluationRequest
from service.contracts.generations import GateSettings, GenerationParams, GenerationSettings
from service.contracts.ids import (
    DEFAULT_TENANT,
    AdaptationId,
    AdapterId,
    DatasetId,
    EvaluationId,
    GenerationId,
    ImageId,
    JobId,
    VersionId,
    new_id,
)
from service.contracts.jobs import JobKind
from service.contracts.search import SearchSettings
from service.queue import Queue
from service.settings import Settings
from service.store import adaptations, datasets, evaluations, generations, jobs
from service.store.database import Database
from service.store.placement import artifact_store
from service.store.tables import ImageRow, JobRow
from tests.fakes.tiny_base_model import build_tiny_base_model

ROOT = Path(__file__).resolve().parents[2]
CLASS_NAME = "Pits 1"
IMAGE_SIZE_PX = (40, 36)
#: What a network of random weights makes is judged only where that is what a test is about.
UNGATED = GateSettings(copies=False, wrong_class=False, outliers=False)


def build_registry(folder: Path) -> Path:
    """A registry whose ``mini`` is a tiny base model, with a tiny feature extractor beside it."""
    build_tiny_base_model(folder / "tiny")
    torch.manual_seed(0)
    save_mini(MiniNetwork(MiniConfig(channels=(8, 8, 8, 8), input_px=32)), folder / "tiny" / "extractor")
    registry = folder / "base_models.toml"
    registry.write_text('[models.mini]\npath = "tiny"\n')
    return registry


def quick(steps: int = 3, num_trials: int = 0) -> AdaptationSettings:
    """Settings that take a second or so."""
    return AdaptationSettings(
        textual_inversion=TextualInversionSettings(steps=steps, batch_size=2),
        lora=LoraSettings(steps=steps, batch_size=2, rank=2),
        search=SearchSettings(max_trials=num_trials, images_per_trial=8),
    )


@dataclass
class World:
    """A data folder with one dataset, and whatever jobs a test puts in."""

    data_dir: Path
    registry: Path
    broker_url: str | None = None
    database_url: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    #: Test images, beside 6 train and 8 validation images.
    num_test: int = 0
    #: Settings that keep the artefacts elsewhere.
    store: Settings | None = None

    def __post_init__(self) -> None:
        self.settings = Settings(
            data_dir=self.data_dir,
            broker_url=self.broker_url,
            database_url=self.database_url,
            base_models=self.registry,
            device="cpu",
        )
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self.store is not None:
            placed = {name: getattr(self.store, name) for name in ("artifacts_url", "s3_endpoint_url", "s3_region")}
            self.settings = self.settings.model_copy(update=placed)
            self.extra |= {f"DEFECTSYNTH_{name.upper()}": value for name, value in placed.items()}
        self.database = Database(self.settings.sqlalchemy_url)
        self.database.migrate()
        self.artifacts = artifact_store(self.settings)
        self.queue = Queue(self.settings)
        self.dataset_id, self.version_id = DatasetId(new_id("ds")), VersionId(new_id("dsv"))
        self._insert_images()

    def close(self) -> None:
        self.queue.close()
        self.database.close()

    def _insert_images(self) -> None:
        draws = np.random.default_rng(0)
        splits = [Split.TRAIN] * 6 + [Split.VALIDATION] * 8 + [Split.TEST] * self.num_test
        rows = [self._image_row(number, split, draws) for number, split in enumerate(splits)]
        with self.database.transaction() as session:
            datasets.insert_dataset(session, DEFAULT_TENANT, self.dataset_id, "surfaces", now())
            session.add_all(rows)
            session.flush()
            ids = [ImageId(row.id) for row in rows]
            datasets.add_version(session, DEFAULT_TENANT, self.version_id, self.dataset_id, ids, [], now())

    def _image_row(self, number: int, split: Split, draws: np.random.Generator) -> ImageRow:
        width, height = IMAGE_SIZE_PX
        image = Image.fromarray(draws.integers(0, 256, (height, width), dtype=np.uint8))
        stream = BytesIO()
        image.save(stream, "PNG")
        stored = self.artifacts.put_bytes(stream.getvalue())
        return ImageRow(
            id=new_id("img"), tenant_id=DEFAULT_TENANT, dataset_id=self.dataset_id, class_name=CLASS_NAME,
            filename=f"{number:02}.png", sha256=stored.sha256, pixel_sha256=stored.sha256, split=split, group=None,
            size_bytes=stored.size_bytes, width_px=width, height_px=height, mode="L", created_at=now(),
        )  # fmt: skip

    def submit_adaptation(self, settings: AdaptationSettings | None = None, *, send: bool = True) -> JobId:
        """Queue an adaptation of the dataset's class."""
        adaptation_id, settings = AdaptationId(new_id("adn")), settings or quick()
        params = AdaptationParams(
            adaptation_id=adaptation_id, dataset_version_id=self.version_id, class_name=CLASS_NAME, base_model="mini",
            settings=settings,
        )  # fmt: skip
        with self.database.transaction() as session:
            adaptations.insert(session, DEFAULT_TENANT, adaptation_id, self.version_id, "mini", settings, now())
        return self._submit(JobKind.ADAPTATION, adaptation_id, params, send)

    def submit_generation(
        self,
        adapter_id: AdapterId,
        settings: GenerationSettings,
        num_images: int = 3,
        gates: GateSettings = UNGATED,
        *,
        send: bool = True,
    ) -> tuple[GenerationId, JobId]:
        """Queue a generation by an adapter."""
        generation_id = GenerationId(new_id("gen"))
        params = GenerationParams(
            generation_id=generation_id, adapter_id=adapter_id, class_name=CLASS_NAME, num_images=num_images, seed=7,
            settings=settings, gates=gates,
        )  # fmt: skip
        with self.database.transaction() as session:
            generations.insert(session, DEFAULT_TENANT, generation_id, 7, settings, now())
        return generation_id, self._submit(JobKind.GENERATION, generation_id, params, send, adapter_id)

    def submit_evaluation(self, request: EvaluationRequest) -> JobId:
        """Queue an evaluation."""
        evaluation_id = EvaluationId(new_id("evl"))
        params = EvaluationParams(evaluation_id=evaluation_id, request=request)
        with self.database.transaction() as session:
            evaluations.insert(session, DEFAULT_TENANT, evaluation_id, request, now())
        return self._submit(JobKind.EVALUATION, evaluation_id, params, True)

    def _submit(
        self,
        kind: JobKind,
        resource_id: str,
        params: AdaptationParams | GenerationParams | EvaluationParams,
        send: bool,
        adapter_id: AdapterId | None = None,
    ) -> JobId:
        job_id = JobId(new_id("job"))
        with self.database.transaction() as session:
            jobs.insert(session, DEFAULT_TENANT, job_id, kind, resource_id, CLASS_NAME, params, now(), adapter_id)
        if send:
            assert self.queue.send(kind, job_id)
        return job_id

    def job(self, job_id: JobId) -> JobRow:
        """The job's row as it is now."""
        with self.database.reading() as session:
            return session.get_one(JobRow, job_id, options=[undefer(JobRow.interim)])

    def cancel(self, job_id: JobId) -> None:
        """What the API does for a client."""
        with self.database.transaction() as session:
            jobs.request_cancel(session, DEFAULT_TENANT, job_id, now())

    def wait(self, job_id: JobId, until: Callable[[JobRow], bool], timeout_seconds: float = 60.0) -> JobRow:
        """The job's row as soon as it is as wanted."""
        give_up_at = time.monotonic() + timeout_seconds
        while not until(row := self.job(job_id)):
            if time.monotonic() > give_up_at:
                log = self.data_dir / "processes.log"
                said = log.read_text()[-4000:] if log.exists() else "no process was started"
                raise AssertionError(f"still {row.state}, progress {row.progress}, failure {row.failure}:\n{said}")
            time.sleep(0.05)
        return row

    def started(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """A real process of ``python -m arguments``, with ``variables`` beside the world's.

        Its leases are so short that a test can wait for their end.
        """
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "DEFECTSYNTH_DATA_DIR": str(self.data_dir),
            "DEFECTSYNTH_BASE_MODELS": str(self.registry),
            "DEFECTSYNTH_DEVICE": "cpu",
            "DEFECTSYNTH_LEASE_SECONDS": "2",
            "DEFECTSYNTH_HEARTBEAT_SECONDS": "0.5",
            "DEFECTSYNTH_SWEEP_SECONDS": "0.3",
            "DEFECTSYNTH_WORKER_PROGRESS_SECONDS": "0.05",
            **({"DEFECTSYNTH_BROKER_URL": self.broker_url} if self.broker_url else {}),
            **({"DEFECTSYNTH_DATABASE_URL": self.database_url} if self.database_url else {}),
            **self.extra,
            **variables,
        }
        with (self.data_dir / "processes.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *arguments], env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )

    @contextmanager
    def running(self, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """What `started` starts, ended at the end of the block, however it may stand."""
        process = self.started(*arguments, **variables)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def now() -> datetime:
    return datetime.now(UTC)
