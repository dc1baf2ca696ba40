import os
from pathlib import Path

import pytest

from service.contracts.ids import JobId
from worker.jobs.adaptation import placeholder_token
from worker.workspace import Workspace, pack, unpack


def test_equal_folders_pack_to_equal_bytes_whenever_they_were_written(tmp_path: Path) -> None:
    for name, order in (("one", ["a.txt", "b/c.txt"]), ("two", ["b/c.txt", "a.txt"])):
        for path in order:
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(path)
    os.utime(tmp_path / "one" / "a.txt", (1e9, 1e9))
    (tmp_path / "two" / "a.txt").chmod(0o600)
    pack(tmp_path / "one", tmp_path / "one.zip")
    pack(tmp_path / "two", tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    unpack(tmp_path / "one.zip", tmp_path / "back")
    assert (tmp_path / "back" / "b" / "c.txt").read_text() == "b/c.txt"


def test_checkpoints_outlive_an_attempt_and_outputs_do_not(tmp_path: Path) -> None:
    first, third = Workspace(tmp_path, JobId("job_1"), 1), Workspace(tmp_path, JobId("job_1"), 3)
    for name in ("checkpoints", "adapter"):
        (first.folder(name) / "file").write_text("kept?")
    assert (third.folder("checkpoints") / "file").exists()
    assert not (third.fresh_folder("adapter") / "file").exists()
    third.remove()
    assert not (tmp_path / "job_1").exists()


def test_a_holder_that_lost_its_lease_cannot_touch_what_its_heir_took_over(tmp_path: Path) -> None:
    zombie, heir = Workspace(tmp_path, JobId("job_1"), 1), Workspace(tmp_path, JobId("job_1"), 2)
    theirs = zombie.folder("checkpoints")
    (theirs / "file").write_text("step 5")
    ours = heir.folder("checkpoints")
    with pytest.raises(FileNotFoundError):
        (theirs / "file").write_text("step 6")
    (zombie.fresh_folder("checkpoints") / "file").write_text("step 6")
    zombie.discard()
    assert (ours / "file").read_text() == "step 5"
    (zombie.folder("checkpoints") / "file").write_text("step 1")
    later = Workspace(tmp_path, JobId("job_1"), 3).folder("checkpoints")
    assert (later / "file").read_text() == "step 5", "the newest holder's, whatever an older one began anew"


def test_a_full_disk_gets_back_what_its_holder_wrote(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, JobId("job_1"), 2)
    (workspace.folder("checkpoints") / "file").write_text("large")
    workspace.discard()
    assert list((tmp_path / "job_1").iterdir()) == []


def test_a_placeholder_token_is_the_same_in_every_attempt_and_differs_between_jobs() -> None:
    token = placeholder_token("Rolled-in Scale.2", JobId("job_1"))
    assert token.startswith("<rolled-in-scale-2-") and token.endswith(">") and " " not in token
    assert token == placeholder_token("Rolled-in Scale.2", JobId("job_1"))
    assert token != placeholder_token("Rolled-in Scale.2", JobId("job_2"))
    assert placeholder_token("缺陷", JobId("job_1")).startswith("<class-")
