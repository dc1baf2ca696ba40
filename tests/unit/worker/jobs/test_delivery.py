"""How many images a generation makes to deliver as many as were asked for."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.contracts.generations import GateSettings, GenerationParams, GenerationSettings
from service.contracts.ids import AdapterId, GenerationId
from worker.jobs.delivery import Delivery


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
    assert delivery.next_batch == batch
