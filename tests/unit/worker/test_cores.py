"""Threads are set to what the process may use."""

import os
from pathlib import Path

import pytest

from worker.cores import usable_cores


def sees(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)


@pytest.mark.parametrize(("quota", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("max 100000", 64)])
def test_a_containers_quota_counts_and_its_absence_does_not(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sees(64, monkeypatch)
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert usable_cores(tmp_path) == cores


def test_a_quota_above_the_cores_that_there_are_adds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(2, monkeypatch)
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    assert usable_cores(tmp_path) == 2


def test_without_a_cgroup_all_cores_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(3, monkeypatch)
    assert usable_cores(tmp_path / "nothing") == 3
