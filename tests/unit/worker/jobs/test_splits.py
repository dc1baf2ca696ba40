"""Which split is seen by what: training, search and gates open no test image; an evaluation tells what was seen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.contracts.adaptations import AdaptationResult
from service.contracts.datasets import Split
from service.contracts.evaluations import DatasetImages, EvaluationRequest, EvaluationResult, GenerationImages
from service.contracts.generations import GateSettings, GenerationMode, GenerationResult, GenerationSettings
from service.contracts.ids import DEFAULT_TENANT, AdapterId, GenerationId, JobId
from service.contracts.jobs import JobState
from service.contracts.quality import QualityReport
from service.store import datasets
from service.store.artifacts import LocalArtifacts
from service.store.tables import JobRow
from tests.fakes.worker_world import CLASS_NAME, UNGATED, World, build_registry, quick
from worker.process import compose


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("splits")
    world = World(folder / "data", build_registry(folder), num_test=8)
    yield world
    world.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Digests of the stored files that were opened, by whatever."""
    opened: set[str] = set()
    path_of = LocalArtifacts.path_of

    def watched(self: LocalArtifacts, sha256: str) -> Path:
        opened.add(sha256)
        return path_of(self, sha256)

    monkeypatch.setattr(LocalArtifacts, "path_of", watched)
    return opened


def worked_off(world: World, job_id: JobId) -> JobRow:
    """The succeeded job's row; its worker is a new one, which remembers nothing of images."""
    compose(world.settings, world.database, worker_id="w", stopping=lambda: False).work_off()
    row = world.job(job_id)
    assert row.state == JobState.SUCCEEDED, row.failure
    return row


def adapted(world: World, num_trials: int) -> AdapterId:
    row = worked_off(world, world.submit_adaptation(quick(num_trials=num_trials), send=False))
    result = AdaptationResult.model_validate(row.result)
    assert (result.found is not None) == (num_trials > 0), result.warnings
    return result.adapter_id


def generated(
    world: World, adapter_id: AdapterId, gates: GateSettings = UNGATED, settings: GenerationSettings | None = None
) -> tuple[GenerationId, JobRow]:
    generation_id, job_id = world.submit_generation(adapter_id, settings or GenerationSettings(), 2, gates, send=False)
    return generation_id, worked_off(world, job_id)


def evaluated(world: World, generation_id: GenerationId, split: Split) -> QualityReport:
    request = EvaluationRequest(
        real=DatasetImages(dataset_id=world.dataset_id, class_name=CLASS_NAME, split=split),
        other=GenerationImages(generation_id=generation_id, class_name=CLASS_NAME),
    )
    result = EvaluationResult.model_validate(worked_off(world, world.submit_evaluation(request)).result)
    return result.quality


def digests(world: World) -> dict[Split, set[str]]:
    with world.database.reading() as session:
        records = datasets.images_of(session, DEFAULT_TENANT, world.version_id)
    return {split: {one.sha256 for one in records if one.split is split} for split in Split}


def test_training_search_and_gates_open_no_test_image(world: World, opened: set[str]) -> None:
    stored = digests(world)
    seen, test = stored[Split.TRAIN] | stored[Split.VALIDATION], stored[Split.TEST]
    assert len(test) == 8
    adapter_id = adapted(world, num_trials=1)
    assert (opened & seen, opened & test) == (seen, set()), "adaptation and search"
    opened.clear()
    _, row = generated(world, adapter_id, GateSettings())
    result = GenerationResult.model_validate(row.result)
    assert [gate.name for gate in result.judging.gates if gate.on] == ["copies", "outliers"]
    assert (opened & seen, opened & test) == (seen, set()), "gates and report"


@pytest.mark.parametrize(
    ("num_trials", "told"),
    [
        (1, {Split.TRAIN: (True, False), Split.VALIDATION: (False, True), Split.TEST: (False, False)}),
        (0, {Split.VALIDATION: (False, False)}),
    ],
    ids=["searched", "not searched"],
)
def test_an_evaluation_tells_what_adaptation_and_search_have_seen(
    world: World, num_trials: int, told: dict[Split, tuple[bool, bool]]
) -> None:
    generation_id, row = generated(world, adapted(world, num_trials))
    own = GenerationResult.model_validate(row.result).quality
    assert own is not None and (own.seen_by_adaptation, own.seen_by_search) == told[Split.VALIDATION]
    for split, seen in told.items():
        quality = evaluated(world, generation_id, split)
        assert (quality.seen_by_adaptation, quality.seen_by_search) == seen, split


def test_images_that_began_as_train_images_are_told_of_without_an_adapter_too(world: World) -> None:
    unadapted = GenerationSettings(unadapted=True)
    generation_id, _ = generated(world, adapted(world, num_trials=0), settings=unadapted)
    train = evaluated(world, generation_id, Split.TRAIN)
    assert (train.seen_as_sources, train.seen_by_adaptation) == (True, False)
    assert not evaluated(world, generation_id, Split.TEST).seen_as_sources
    from_noise = unadapted.model_copy(update={"mode": GenerationMode.FROM_NOISE})
    generation_id, _ = generated(world, adapted(world, num_trials=0), settings=from_noise)
    assert not evaluated(world, generation_id, Split.TRAIN).seen_as_sources
