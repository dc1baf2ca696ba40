"""A pre-flight in words: nothing that it found is left out."""

from service.contracts.adaptations import AdaptationSettings
from service.contracts.datasets import DatasetWarning, Split
from service.contracts.ids import VersionId
from service.contracts.preflight import (
    Basis,
    ExpectedSeconds,
    Preflight,
    PreflightClass,
    PreflightMemory,
    PreflightVerdict,
)
from service.web.adapting import looked_ahead


def test_warnings_times_of_classes_and_memory_of_the_device_are_told() -> None:
    few = DatasetWarning(code="few_images_for_class_gate", class_name="pits", message="5 images, fewer than 8")
    nobody = DatasetWarning(code="no_worker", class_name=None, message="no worker was seen lately")
    seconds = ExpectedSeconds(expected=90, low=60, high=150)
    found = Preflight(
        verdict=PreflightVerdict.NOT_ADVISED, sentence="Not advised.", dataset_version_id=VersionId("dsv_1"),
        base_model="mini", settings=AdaptationSettings(), warnings=[nobody], num_earlier_jobs=2, num_workers=1,
        classes=[PreflightClass(class_name="pits", num_images={Split.TRAIN: 5}, warnings=[few], seconds=seconds)],
        seconds=seconds, basis=Basis.EARLIER_JOBS, device="NVIDIA A10",
        memory=PreflightMemory(expected_bytes=2**31, expected_device_bytes=6 * 2**30, worker_device_bytes=24 * 2**30),
    )  # fmt: skip
    told = looked_ahead(found)
    assert told.kind == "no"
    assert list(told.warnings) == [(None, "no worker was seen lately"), ("pits", "5 images, fewer than 8")]
    assert list(told.classes) == [("pits", "1 min 30 s, 1 min 0 s to 2 min 30 s")]
    assert dict(told.facts) == {
        "expected time": "1 min 30 s, 1 min 0 s to 2 min 30 s nine times in ten",
        "learned from": "2 earlier jobs",
        "memory": "2.0 GiB",
        "device memory": "6.0 GiB of 24.0 GiB",
        "device": "NVIDIA A10",
    }
