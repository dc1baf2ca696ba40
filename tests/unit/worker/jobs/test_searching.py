"""What a search costs: what its trials share is computed once, and an extractor that is of no use loses no training."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from models.evaluation.mini import MiniNetwork
from service.contracts.adaptations import AdaptationResult
from service.contracts.generations import GenerationSettings
from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobState
from service.store import adapters
from service.store.tables import JobRow
from tests.fakes.worker_world import World, build_registry, quick
from worker import residents
from worker.feature_cache import FeatureCache
from worker.jobs import searching
from worker.jobs.judgement import ROUND_TRIP_IMAGES
from worker.process import compose

IMAGES_A_TRIAL, NUM_TRAIN, NUM_VALIDATION = 8, 6, 8


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data", build_registry(tmp_path))
    yield world
    world.close()


def worked_off(world: World, num_trials: int) -> JobRow:
    """The row of an adaptation that was run by a worker of its own."""
    job_id = world.submit_adaptation(quick(num_trials=num_trials), send=False)
    compose(world.settings, world.database, worker_id="w", stopping=lambda: False).work_off()
    return world.job(job_id)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What was really done: images encoded, images put through the extractor, base models loaded."""
    done: Counter[str] = Counter()

    def counted(owner: Any, name: str, what: str, number: Callable[..., int]) -> None:
        original = getattr(owner, name)

        def counting(*arguments: Any, **options: Any) -> Any:
            done[what] += number(*arguments)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, counting)

    def rows(_: torch.nn.Module, pixels: torch.Tensor) -> int:
        return len(pixels)

    counted(AutoencoderKL, "encode", "encoded", rows)
    counted(MiniNetwork, "features", "extracted", rows)
    counted(residents, "load_base_model", "loaded", lambda *_: 1)
    return done


def test_the_first_trials_are_the_registered_settings_and_two_splices(world: World) -> None:
    result = worked_off(world, num_trials=3).result
    assert result is not None
    usual = GenerationSettings().strength
    tried = [(trial["splice_sources"], trial["strength"]) for trial in result["search"]["trials"]]
    assert tried == [(False, usual), (True, usual), (True, pytest.approx((1 + usual) / 2))]


def test_a_trial_computes_nothing_of_real_images_that_was_computed_before(world: World, done: Counter[str]) -> None:
    worker = compose(world.settings, world.database, worker_id="w", stopping=lambda: False)
    spent = []
    for num_trials in (2, 1):
        done.clear()
        job_id = world.submit_adaptation(quick(num_trials=num_trials), send=False)
        worker.work_off()
        row = world.job(job_id)
        assert row.state == JobState.SUCCEEDED, row.failure
        assert row.result is not None and len(row.result["search"]["trials"]) == num_trials
        spent.append(dict(done))
    first, later = spent
    copied = min(NUM_TRAIN, ROUND_TRIP_IMAGES)
    assert first["extracted"] == NUM_TRAIN + NUM_VALIDATION + copied + 2 * IMAGES_A_TRIAL, "each real image once"
    assert later["extracted"] == IMAGES_A_TRIAL, "another search finds the features of real images"
    assert first["encoded"] == later["encoded"] + copied + NUM_TRAIN, "each source once, for all trials and searches"
    assert first["loaded"] == 1 and "loaded" not in later


def test_an_extractor_with_a_wrong_digest_fails_the_job_before_its_training(world: World, done: Counter[str]) -> None:
    pinned = f'[extractors.mini]\nkind = "mini"\npath = "tiny/extractor"\nsha256 = "{"0" * 64}"\n'
    world.registry.write_text(world.registry.read_text() + pinned)
    row = worked_off(world, num_trials=1)
    assert row.state == JobState.FAILED and row.failure is not None
    assert row.failure["code"] == "extractor_unusable"
    told = row.failure["message"] + row.failure["remedy"]
    assert row.failure["remedy"] not in row.failure["message"] and str(world.registry.parent) not in told
    assert not done, "no base model was loaded, no image encoded"
    assert worked_off(world, num_trials=0).state == JobState.SUCCEEDED, "without a search none is needed"


def test_what_was_trained_is_kept_where_the_extractor_fails_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MiniNetwork, "features", lambda self, pixels: torch.full((len(pixels), 8), torch.nan))
    row = worked_off(world, num_trials=1)
    assert row.state == JobState.SUCCEEDED, row.failure
    result = AdaptationResult.model_validate(row.result)
    (warning,) = result.warnings
    assert warning.startswith("No settings were searched for: Extractor mini gave features that are not finite")
    with world.database.reading() as session:
        adapter = adapters.get(session, DEFAULT_TENANT, result.adapter_id)
    assert (adapter.checkpoint, adapter.found, result.search) == ("lora@3", None, None)


def test_the_copy_floor_of_a_search_is_told_on_the_scale_of_its_trials(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exact_copies(self: FeatureCache, extractor: Any, base: Any, fit: Any, sources: Any, *_: Any) -> Any:
        return self.features(extractor, sources)

    monkeypatch.setattr(FeatureCache, "round_trips", exact_copies)
    monkeypatch.setattr(searching, "MIN_VALIDATION_IMAGES", NUM_VALIDATION + 1)
    result = AdaptationResult.model_validate(worked_off(world, num_trials=1).result)
    assert result.search is not None and result.search.reference_split == "train"
    assert result.search.copy_floor is not None
    # To the images that they are no copies of, copies are as near as these are to each other: not below 0.
    assert result.search.copy_floor.kid == pytest.approx(0, abs=1e-9)
