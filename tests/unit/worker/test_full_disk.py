"""A full disk: no thread, loop or process of a worker ends by it, and what a job wrote is given back."""

import errno
import io
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from sqlalchemy.orm import Session

from models.adaptation.checkpoint import Checkpoint, CheckpointFile
from models.adaptation.config import AdaptationConfig
from service.contracts.jobs import JobKind, JobState
from service.errors import StorageFull
from service.settings import Settings
from service.store.artifacts import LocalArtifacts
from service.store.database import Database
from service.store.tables import Base, JobRow, WorkerRow
from tests.fakes.attempts import Disk
from worker import maintenance, process
from worker.feature_cache import FeatureCache
from worker.lifecycle import Attempt, Finished, LeaseTimes, Lifecycle, utc_now
from worker.maintenance import Maintenance
from worker.presence import Doing, Presence
from worker.process import WorkingProcess
from worker.residents import Residents
from worker.workshop import Workshop


class FullWhile(Database):
    """A record that has room only where ``scratch`` is not there."""

    def __init__(self, url: str, scratch: Path) -> None:
        super().__init__(url)
        self._scratch = scratch

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        if self._scratch.exists():
            raise StorageFull("the disk that holds the database is full")
        with super().transaction() as session:
            yield session


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "work" / "job" / "1"


@pytest.fixture
def database(tmp_path: Path, scratch: Path) -> Iterator[FullWhile]:
    database = FullWhile(f"sqlite:///{tmp_path / 'jobs.db'}", scratch)
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


def test_a_job_that_fills_the_disk_gives_its_scratch_back_and_fails_with_a_reason(
    database: FullWhile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_the_disk(attempt: Attempt, workshop: Workshop) -> Finished:
        workshop.workspace(attempt.job).folder("checkpoints")
        raise OSError(errno.ENOSPC, "No space left on device")

    with database.transaction() as session:
        session.add(
            JobRow(
                id="job", tenant_id="a", kind=JobKind.EVALUATION, resource_id="evl", class_name="pits",
                state=JobState.QUEUED, params={}, created_at=utc_now(),
            )
        )  # fmt: skip
    monkeypatch.setattr(process, "JOBS", {JobKind.EVALUATION: fills_the_disk})
    artifacts = LocalArtifacts(tmp_path / "artifacts")
    residents = Residents({}, artifacts, device="cpu", extractor="mini", max_base_models=1, max_adapters=1)
    lifecycle = Lifecycle(database, LeaseTimes(30, 5, 60), stopping=lambda: False, on_stall=lambda: None)
    WorkingProcess(
        database, Workshop(database, artifacts, residents, FeatureCache(artifacts), tmp_path / "work"), lifecycle,
        worker_id="w", lease_seconds=30, stopping=lambda: False,
    ).work_off()  # fmt: skip
    with database.reading() as session:
        row = session.get_one(JobRow, "job")
    assert row.failure is not None
    assert (row.state, row.failure["code"]) == (JobState.FAILED, "storage_full")


def test_a_worker_shows_itself_again_when_there_is_room_again(database: FullWhile, scratch: Path) -> None:
    scratch.mkdir(parents=True)
    presence = Presence(database, "w", "cpu", 0.02, lambda: Doing())
    presence.start()
    time.sleep(0.1)
    scratch.rmdir()
    give_up_at = time.monotonic() + 10
    while not is_shown(database):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    presence.stop()


def is_shown(database: Database) -> bool:
    with database.reading() as session:
        return session.get(WorkerRow, "w") is not None


def test_the_sweep_s_process_goes_on_after_a_sweep_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps = []

    def sweep_once(self: Maintenance) -> None:
        sweeps.append(self)
        if len(sweeps) == 1:
            raise StorageFull("the disk that holds the database is full")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Maintenance, "sweep_once", sweep_once)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert maintenance.run(Settings(data_dir=tmp_path, sweep_seconds=0.01)) == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert len(sweeps) == 2


def test_a_checkpoint_that_finds_no_room_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "open", io.open)  # What the full disk puts in its place is gone after the test.
    Disk(full_at=1).use()
    file = CheckpointFile(tmp_path, AdaptationConfig(), "a test", interval_seconds=10)
    with pytest.raises(OSError) as raised:
        file.save(Checkpoint("lora", 1, {"unet": torch.zeros(100_000)}))
    assert raised.value.errno == errno.ENOSPC
