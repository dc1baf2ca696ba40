"""What a generation computes of its class's real images, the next one of a worker finds there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from diffusers import AutoencoderKL

from models.evaluation.class_gate import ClassGate
from models.evaluation.copies import CopyGate
from service.contracts.adaptations import AdaptationResult
from service.contracts.generations import GateSettings, GenerationResult, GenerationSettings
from service.contracts.ids import AdapterId
from tests.fakes.worker_world import World, build_registry, quick
from worker.process import WorkingProcess, compose


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data", build_registry(tmp_path / "models"))
    yield world
    world.close()


class Counted:
    """Rows that a method was given, and its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> None:
        self.calls = self.rows = 0
        original = getattr(kind, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            self.rows += len(args[1])
            return original(*args, **kwargs)

        monkeypatch.setattr(kind, name, counting)


def generated(world: World, worker: WorkingProcess, adapter_id: AdapterId) -> GenerationResult:
    job_id = world.submit_generation(adapter_id, GenerationSettings(), 2, GateSettings(), send=False)[1]
    worker.work_off()
    return GenerationResult.model_validate(world.job(job_id).result)


def test_a_second_job_of_a_class_encodes_no_source_and_fits_no_gate(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = compose(world.settings, world.database, worker_id="w", stopping=lambda: False)
    job_id = world.submit_adaptation(quick(), send=False)
    worker.work_off()
    adapter_id = AdaptationResult.model_validate(world.job(job_id).result).adapter_id
    first = generated(world, worker, adapter_id)
    encoded, decoded = (Counted(monkeypatch, AutoencoderKL, name) for name in ("encode", "decode"))
    fitted: list[object] = []
    for gate in (CopyGate, ClassGate):
        monkeypatch.setattr(gate, "fit", lambda *arguments: fitted.append(arguments))
    second = generated(world, worker, adapter_id)
    assert second.judging is not None and second.judging.num_candidates > 0
    assert (encoded.calls, decoded.rows, fitted) == (0, second.judging.num_candidates, [])
    assert second.quality == first.quality and second.judging == first.judging
