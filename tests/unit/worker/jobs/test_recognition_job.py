"""A recognition job on tiny pictures: what it trains on, what it answers, and that a stopped one goes on."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy import select
from transformers import ResNetConfig, ResNetForImageClassification

from models.errors import DatasetUnusable, Interrupted, InvalidSettings
from models.recognition import protocol
from models.recognition.classifier import train
from service.contracts.datasets import Split
from service.contracts.generations import Decision, GeneratedImage, GenerationSettings
from service.contracts.ids import (
    DEFAULT_TENANT,
    DatasetId,
    GenerationId,
    ImageId,
    JobId,
    RecognitionId,
    Sha256,
    VersionId,
)
from service.contracts.jobs import JobKind
from service.contracts.recognitions import (
    Arm,
    RecognitionParams,
    RecognitionResult,
    RecognitionSettings,
    RecognitionSoFar,
    Verdict,
)
from service.registry import ClassifierEntry
from service.store import datasets, decisions, generations, jobs, leases
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from service.store.leases import ClaimedJob
from service.store.tables import Base, GeneratedImageRow, ImageRow, JobRow
from tests.fakes.pictures import encoded
from worker.feature_cache import FeatureCache
from worker.jobs import recognition
from worker.jobs.recognition_inputs import read_inputs
from worker.lifecycle import Attempt, LeaseTimes, utc_now
from worker.residents import Residents
from worker.workshop import Workshop

JOB, GENERATION, VERSION = JobId("job"), GenerationId("gen"), VersionId("dsv")
CLASSES = ("bright", "dark")
COUNTS = {Split.TRAIN: 3, Split.VALIDATION: 2, Split.TEST: 3}
TIMES = LeaseTimes(lease_seconds=600, heartbeat_seconds=60, stall_seconds=600, progress_seconds=0)
SETTINGS = RecognitionSettings(
    ratios=[0.5, 1.0], num_seeds=2, num_selection_seeds=1, steps=12, batch_size=8, image_size_px=16, learning_rate=3e-3
)
NUM_RUNS = 2 * 1 + 3 * 2


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A record and files with six train images, and four synthetic ones: a copy, one from noise, two strangers'."""
    database, artifacts = Database(f"sqlite:///{tmp_path / 'jobs.db'}"), LocalArtifacts(tmp_path / "artifacts")
    Base.metadata.create_all(database.engine)
    residents = Residents({}, artifacts, device="cpu")
    made = Workshop(database, artifacts, residents, FeatureCache(artifacts), tmp_path / "work")
    fill(made)
    yield made
    database.close()


def picture(class_name: str, seed: int) -> bytes:
    """Grain about a light or a dark grey: two classes that a few steps tell apart."""
    middle = 200 if class_name == "bright" else 60
    grain = np.random.default_rng(seed).normal(middle, 15, (16, 16))
    return encoded(Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)))


def fill(workshop: Workshop) -> None:
    real = [(name, split, number) for name in CLASSES for split, count in COUNTS.items() for number in range(count)]
    rows = []
    for seed, (name, split, number) in enumerate(real):
        stored = workshop.artifacts.put_bytes(picture(name, seed))
        rows.append(ImageRow(
            id=f"img_{name}_{split}_{number}", tenant_id=DEFAULT_TENANT, dataset_id="ds", class_name=name,
            filename=f"{split}-{number}.png", sha256=stored.sha256, pixel_sha256=stored.sha256, split=split,
            group=None, size_bytes=stored.size_bytes, width_px=16, height_px=16, mode="L", created_at=utc_now(),
        ))  # fmt: skip
    with workshop.database.transaction() as session:
        datasets.insert_dataset(session, DEFAULT_TENANT, DatasetId("ds"), "grain", utc_now())
        session.add_all(rows)
        session.flush()
        ids = [ImageId(row.id) for row in rows]
        datasets.add_version(session, DEFAULT_TENANT, VERSION, DatasetId("ds"), ids, [], utc_now())
        generations.insert(session, DEFAULT_TENANT, GENERATION, 1, GenerationSettings(), utc_now())
        sources = ("img_{}_train_0", None, "img_{}_validation_0", "img_{}_train_1")
        images = [
            synthetic(workshop, name, number, source.format(name) if source is not None else None)
            for name in CLASSES
            for number, source in enumerate(sources)
        ]
        generations.insert_images(session, DEFAULT_TENANT, GENERATION, JobId("made"), images)


def synthetic(workshop: Workshop, name: str, number: int, source: str | None) -> GeneratedImage:
    stored = workshop.artifacts.put_bytes(picture(name, 100 + number))
    return GeneratedImage(
        class_name=name, number=number, sha256=Sha256(stored.sha256), size_bytes=stored.size_bytes, width_px=16,
        height_px=16, mode="L", seed=number, source_image_id=ImageId(source) if source is not None else None,
    )  # fmt: skip


def claimed(
    workshop: Workshop, settings: RecognitionSettings = SETTINGS, rejected: dict[str, list[int]] | None = None
) -> ClaimedJob:
    """The job, queued where it is not yet."""
    params = RecognitionParams(
        recognition_id=RecognitionId("rec"), dataset_version_id=VERSION, generation_id=GENERATION,
        classes=list(CLASSES), settings=settings, notes=["Left out: nothing."],
        rejected=rejected or {},
    )  # fmt: skip
    with workshop.database.transaction() as session:
        if session.get(JobRow, JOB) is None:
            jobs.insert(session, DEFAULT_TENANT, JOB, JobKind.RECOGNITION, "rec", "bright, dark", params, utc_now())
    with workshop.database.transaction() as session:
        job = leases.claim(
            session, worker_id="w", kinds=list(JobKind), resident_adapter_id=None, now=utc_now(), lease_seconds=600
        )
    assert job is not None
    return job


def attempt(workshop: Workshop, stopping: Callable[[], bool] = lambda: False, **changes: object) -> Attempt:
    job = claimed(workshop, SETTINGS.model_copy(update=changes))
    return Attempt(workshop.database, job, TIMES, stopping)


def kept(workshop: Workshop) -> list[str]:
    """What the job's record says of each classifier trained so far."""
    with workshop.database.reading() as session:
        interim = session.get_one(JobRow, JOB).interim
    runs = RecognitionSoFar.model_validate(interim).runs if interim is not None else []
    return [f"{one.purpose}/{one.arm}/{one.ratio:g}/{one.seed}" for one in runs]


def result_of(workshop: Workshop, trying: Attempt) -> RecognitionResult:
    found = recognition.run(trying, workshop).result
    assert isinstance(found, RecognitionResult)
    return found


def test_every_arm_is_tested_and_every_figure_has_its_ground(workshop: Workshop) -> None:
    found = result_of(workshop, attempt(workshop))
    assert [arm.arm for arm in found.arms] == list(Arm)
    assert {arm.arm: (arm.num_real, arm.num_synthetic > 0) for arm in found.arms} == {
        Arm.REAL_ONLY: (6, False), Arm.REAL_AUGMENTED: (6, False), Arm.REAL_PLUS_SYNTHETIC: (6, True),
    }  # fmt: skip
    assert all(sum(map(sum, arm.confusion)) == 2 * 6 for arm in found.arms)
    assert found.chosen_ratio in [one.ratio for one in found.selection] == [0.5, 1.0]
    assert found.verdict in Verdict
    assert {(lift.over, lift.metric) for lift in found.lifts} >= {(Arm.REAL_AUGMENTED, "accuracy")}
    assert found.num_images == dict.fromkeys(CLASSES, COUNTS)
    assert set(found.stage_seconds) == {"loading", "selection", "final"}
    tests = {f"img_{name}_test_{number}" for name in CLASSES for number in range(3)}
    assert {one.image_id for one in found.telling_images} <= tests
    assert len(kept(workshop)) == NUM_RUNS


def test_images_made_from_what_is_no_train_image_are_left_out_and_said(workshop: Workshop) -> None:
    found = result_of(workshop, attempt(workshop))
    assert found.num_synthetic_images == {"bright": 3, "dark": 3}
    assert found.notes[0] == "Left out: nothing."
    assert found.notes[1].startswith("2 synthetic images were left out")


def test_what_was_rejected_when_the_job_was_accepted_is_left_out_whatever_is_decided_since(workshop: Workshop) -> None:
    params = RecognitionParams.model_validate(claimed(workshop, rejected={"bright": [0], "dark": [1]}).params)
    with workshop.database.transaction() as session:
        everything = {("bright", 0): Decision.KEEP, ("dark", 0): Decision.REJECT, ("dark", 1): None}
        decisions.decide(session, DEFAULT_TENANT, GENERATION, everything, by="somebody", at=utc_now())
    with workshop.database.reading() as session:
        inputs = read_inputs(session, DEFAULT_TENANT, params)
    used = [(one.image.class_name, one.image.number) for one in inputs.synthetic]
    assert used == [("bright", 1), ("bright", 3), ("dark", 0), ("dark", 3)]


def test_a_stopped_job_goes_on_where_it_was_and_finds_the_same(workshop: Workshop) -> None:
    with pytest.raises(Interrupted):
        recognition.run(attempt(workshop, stopping=lambda: len(kept(workshop)) >= 3), workshop)
    before = kept(workshop)
    assert len(before) == 3
    with workshop.database.transaction() as session:
        leases.release(session, JOB, 1, now=utc_now())
    resumed = result_of(workshop, attempt(workshop))
    assert kept(workshop)[:3] == before
    assert len(kept(workshop)) == NUM_RUNS
    with workshop.database.transaction() as session:
        session.delete(session.get_one(JobRow, JOB))
    at_once = result_of(workshop, attempt(workshop))
    assert resumed.model_copy(update={"stage_seconds": {}}) == at_once.model_copy(update={"stage_seconds": {}})


def save_classifier(folder: Path, seed: int) -> None:
    """A classifier of random weights, as an operator would register a pretrained one."""
    torch.manual_seed(seed)
    small = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", num_labels=2)
    ResNetForImageClassification(small).save_pretrained(folder)


@pytest.mark.parametrize(("seed", "num_trained"), [(1, NUM_RUNS - 3), (2, NUM_RUNS)], ids=["the same", "replaced"])
def test_classifiers_begun_from_what_was_replaced_since_are_trained_again(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, num_trained: int
) -> None:
    own = replace(workshop, classifiers={"own": ClassifierEntry(name="own", path=str(tmp_path / "own"))})
    save_classifier(tmp_path / "own", seed=1)
    with pytest.raises(Interrupted):
        recognition.run(attempt(own, stopping=lambda: len(kept(own)) >= 3, classifier="own"), own)
    with workshop.database.transaction() as session:
        leases.release(session, JOB, 1, now=utc_now())
    save_classifier(tmp_path / "own", seed)
    counted = Mock(wraps=train)
    monkeypatch.setattr(protocol, "train", counted)
    recognition.run(attempt(own, classifier="own"), own)
    assert (counted.call_count, len(kept(own))) == (num_trained, NUM_RUNS)


def test_a_class_whose_synthetic_images_all_come_from_elsewhere_ends_the_job(workshop: Workshop) -> None:
    with workshop.database.transaction() as session:
        for row in session.scalars(select(GeneratedImageRow).where(GeneratedImageRow.class_name == "dark")):
            row.source_image_id = "img_dark_validation_1"
    with pytest.raises(DatasetUnusable, match="Class 'dark' has no synthetic image"):
        recognition.run(attempt(workshop), workshop)


def test_a_registered_classifier_is_opened_and_an_unknown_one_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    registered = {"own": ClassifierEntry(name="own", path=str(tmp_path / "empty"))}
    own = replace(workshop, classifiers=registered)
    trying = attempt(workshop, classifier="own")
    with pytest.raises(InvalidSettings, match="not registered on this worker"):
        recognition.run(trying, workshop)
    with pytest.raises(InvalidSettings, match="cannot be opened"):
        recognition.run(trying, own)
