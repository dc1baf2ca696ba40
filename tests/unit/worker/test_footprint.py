"""What a job took of the machine, and what the machine has."""

import numpy as np

from worker import footprint
from worker.bounds import machine_bytes, resident_bytes

MIB = 2**20


def peak_bytes() -> int:
    peak = footprint.taken("cpu").peak_memory_bytes
    assert peak is not None
    return peak


def test_a_peak_is_of_this_job_and_outlasts_what_was_given_back() -> None:
    held = np.ones(200 * MIB, dtype=np.uint8)
    before = peak_bytes()
    del held
    footprint.begin()
    assert peak_bytes() < before - 100 * MIB
    held = np.ones(200 * MIB, dtype=np.uint8)
    del held
    assert peak_bytes() > resident_bytes() + 100 * MIB


def test_a_machine_has_more_than_this_process_takes() -> None:
    there = machine_bytes()
    assert there is not None
    assert there > resident_bytes() > 0


def test_a_processor_is_named_as_torch_names_it() -> None:
    assert footprint.device_name("cpu") == "cpu"
