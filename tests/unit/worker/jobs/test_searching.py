"""What a search shares between its trials is computed once: a trial costs its own images, and nothing else."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from models.evaluation.mini import MiniNetwork
from service.contracts.jobs import JobState
from tests.fakes.worker_world import World, build_registry, quick
from worker import residents
from worker.jobs.judgement import ROUND_TRIP_IMAGES
from worker.process import compose

IMAGES_A_TRIAL, NUM_TRAIN, NUM_VALIDATION = 8, 6, 8


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data", build_registry(tmp_path))
    yield world
    world.close()


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


def test_another_trial_encodes_no_real_image_again_and_loads_no_model(world: World, done: Counter[str]) -> None:
    worker = compose(world.settings, world.database, worker_id="w", stopping=lambda: False)
    spent = []
    for num_trials in (1, 2):
        done.clear()
        job_id = world.submit_adaptation(quick(num_trials=num_trials), send=False)
        worker.work_off()
        row = world.job(job_id)
        assert row.state == JobState.SUCCEEDED, row.failure
        assert row.result is not None and len(row.result["search"]["trials"]) == num_trials
        spent.append(dict(done))
    first, second = spent
    copied = min(NUM_TRAIN, ROUND_TRIP_IMAGES)
    assert first["extracted"] == NUM_TRAIN + NUM_VALIDATION + copied + IMAGES_A_TRIAL, "each real image once"
    assert second["extracted"] == copied + 2 * IMAGES_A_TRIAL, "a second job finds the features of the first"
    assert first["encoded"] == second["encoded"] > 0, "another trial encodes nothing"
    assert first["loaded"] == 1 and "loaded" not in second
