"""How many images a generation makes, and what a class that got fewer than were asked for is advised to do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models.evaluation.features import FeatureExtractor
from models.evaluation.gates import Gates, RejectReason
from service.contracts.generations import GateSettings, GenerationMode, GenerationParams, GenerationSettings
from service.contracts.ids import AdapterId, GenerationId
from service.store.artifacts import LocalArtifacts
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
    assert delivery.next_batch == batch
