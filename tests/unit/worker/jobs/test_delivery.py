"""How many images a generation makes, when they are stored, and what a class that got fewer is advised to do."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import Interrupted
from models.evaluation.features import FeatureExtractor
from models.evaluation.gates import Gates, RejectReason
from models.evaluation.outliers import OutlierGate
from models.generation.engine import Sample, Sampler
from service.contracts.generations import GateSettings, GenerationMode, GenerationParams, GenerationSettings
from service.contracts.ids import AdapterId, GenerationId
from service.errors import StorageFull
from service.store.artifacts import LocalArtifacts, StoredArtifact
from worker.jobs.delivery import Delivery

NO_SPLICING = "begin with one real image each (splice_sources false)"


def advised(folder: Path, settings: GenerationSettings, **rejected: int) -> str:
    params = GenerationParams(
        generation_id=GenerationId("gen_1"), adapter_id=AdapterId("adp_1"), class_name="pits", num_images=20, seed=11,
        settings=settings,
    )  # fmt: skip
    extractor = cast(FeatureExtractor, SimpleNamespace(dim=8))
    delivery = Delivery(LocalArtifacts(folder), params, [], {}, Gates(None, None, None, "pits"), extractor)
    delivery.rejected.update({RejectReason(reason): number for reason, number in rejected.items()})
    (warning,) = delivery.warnings()
    return warning.partition("To get more, ")[2]


@pytest.mark.parametrize("reason", ["wrong_class", "outlier"])
def test_a_class_that_failed_while_spliced_is_first_advised_to_splice_no_longer(tmp_path: Path, reason: str) -> None:
    spliced = GenerationSettings(splice_sources=True)
    assert advised(tmp_path, spliced, copy=3, **{reason: 40}).startswith(f"{NO_SPLICING}, or lower strength")


@pytest.mark.parametrize(
    ("settings", "rejected"),
    [
        (GenerationSettings(), {"outlier": 40}),
        (GenerationSettings(splice_sources=True), {"copy": 40}),
        (GenerationSettings(splice_sources=True, mode=GenerationMode.FROM_NOISE), {"outlier": 40}),
    ],
    ids=["not spliced", "copies", "from noise"],
)
def test_it_is_not_advised_where_splicing_is_not_the_cause(
    tmp_path: Path, settings: GenerationSettings, rejected: dict[str, int]
) -> None:
    assert "splice" not in advised(tmp_path, settings, **rejected)


@pytest.mark.parametrize(
    ("asked", "made", "accepted", "batch"),
    [(2, 0, 0, 2), (24, 0, 0, 8), (24, 24, 22, 3), (10, 8, 8, 2), (10, 8, 4, 8), (2, 2, 0, 4), (2, 9, 1, 1)],
    ids=[
        "a small request makes no more", "a large one goes in batches", "replacements, of which some will fail too",
        "the rest, where all passed", "at most a batch", "where none passed, more", "within the budget",
    ],
)  # fmt: skip
def test_a_batch_is_as_large_as_will_probably_be_enough(asked: int, made: int, accepted: int, batch: int) -> None:
    params = GenerationParams(
        generation_id=GenerationId("gen"), adapter_id=AdapterId("adp"), class_name="pits", num_images=asked, seed=1,
        settings=GenerationSettings(), gates=GateSettings(max_candidates_per_image=5),
    )  # fmt: skip
    nothing = cast(Any, SimpleNamespace())
    delivery = Delivery(nothing, params, [], {}, nothing, nothing, num_candidates=made, images=[nothing] * accepted)
    assert delivery.next_batch(8) == batch


def flat_features(pixel_values: torch.Tensor) -> torch.Tensor:
    return pixel_values.mean(dim=(2, 3))


class Drawn:
    """A sampler of grey images that does something first."""

    batch_size = 8

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def draw(self, indices: range) -> list[Sample]:
        self._before()
        return [Sample(index, Image.new("L", (8, 8), 40 + index), index, None) for index in indices]


class Waiting(LocalArtifacts):
    """Stores bytes when it may."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.may = threading.Event()

    def put_bytes(self, data: bytes) -> StoredArtifact:
        assert self.may.wait(timeout=20)
        return super().put_bytes(data)


def delivery_of(artifacts: LocalArtifacts, num_images: int) -> Delivery:
    params = GenerationParams(
        generation_id=GenerationId("gen"), adapter_id=AdapterId("adp"), class_name="pits", num_images=num_images,
        seed=1, settings=GenerationSettings(),
    )  # fmt: skip
    return Delivery(artifacts, params, [], {}, Gates(None, None, None, "pits"), cast(FeatureExtractor, flat_features))


def test_a_batch_is_stored_beside_the_making_of_the_next(tmp_path: Path) -> None:
    artifacts = Waiting(tmp_path)
    delivery = delivery_of(artifacts, 16)
    kept: list[tuple[int, int]] = []

    def second_batch_opens_the_store() -> None:
        if delivery.num_accepted:
            artifacts.may.set()

    sampler = cast(Sampler, Drawn(second_batch_opens_the_store))
    delivery.fill(sampler, lambda: kept.append((delivery.num_candidates, len(delivery.images))))
    assert kept == [(0, 0), (8, 8), (16, 16)], "what is kept is whole: as many are stored as were judged"
    assert [image.number for image in delivery.images] == list(range(16))
    assert len({image.sha256 for image in delivery.images}) == 16


def test_what_was_judged_is_stored_when_the_job_is_stopped(tmp_path: Path) -> None:
    artifacts = Waiting(tmp_path)
    delivery = delivery_of(artifacts, 16)

    def stopped() -> None:
        if delivery.num_accepted:
            artifacts.may.set()
            raise Interrupted("The job was canceled.")

    with pytest.raises(Interrupted):
        delivery.fill(cast(Sampler, Drawn(stopped)))
    assert delivery.num_candidates == len(delivery.images) == 8


def test_making_ends_where_the_budget_is_spent(tmp_path: Path) -> None:
    """No grey image is like the real ones, which are nearly white."""
    delivery = delivery_of(LocalArtifacts(tmp_path), 3)
    real = np.random.default_rng(0).normal(0.9, 0.01, (20, 3))
    delivery.gates = Gates(None, None, OutlierGate.fit(real), "pits")

    def within_the_budget() -> None:
        assert delivery.num_candidates < 15, "5 candidates an image"

    delivery.fill(cast(Sampler, Drawn(within_the_budget)))
    assert (delivery.num_candidates, delivery.num_missing) == (15, 3)
    (warning,) = delivery.warnings()
    assert warning.startswith("0 of 3 images: of 15 that were made (the budget), 15 were unlike any real image.")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    class Full(LocalArtifacts):
        def put_bytes(self, data: bytes) -> StoredArtifact:
            raise StorageFull("the disk is full")

    with pytest.raises(StorageFull):
        delivery_of(Full(tmp_path), 3).fill(cast(Sampler, Drawn(lambda: None)))
