"""What a class that got fewer images than were asked for is advised to do."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from models.evaluation.features import FeatureExtractor
from models.evaluation.gates import Gates, RejectReason
from service.contracts.generations import GenerationMode, GenerationParams, GenerationSettings
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
