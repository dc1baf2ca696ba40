"""What was accepted, and what became of it: nothing lost, nothing done twice, nothing left behind."""

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
from sqlalchemy import func, select

from service.contracts.jobs import JobKind, JobState
from service.store.tables import (
    AdaptationRow,
    AdapterRow,
    DatasetRow,
    GeneratedImageRow,
    GenerationRow,
    ImageRow,
    JobRow,
)
from tests.fakes.worker_world import World, now
from worker.orphans import remove_orphans


@dataclass
class Accepted:
    """What clients were told: one resource for each key that they chose, however often they asked.

    ``told_at_once``: keys of which a client got the first answer, and not only what is told again.
    """

    resources: dict[str, str] = field(default_factory=dict)
    jobs_of: dict[str, list[str]] = field(default_factory=dict)
    told_at_once: set[str] = field(default_factory=set)
    _texts: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, key: str, answer: httpx.Response) -> None:
        """Note an accepted answer. All answers to one key must be the same text."""
        with self._lock:
            assert self._texts.setdefault(key, answer.text) == answer.text, "one key was given two answers"
            told = answer.json()
            self.resources[key] = told["id"]
            self.jobs_of[told["id"]] = [job["id"] for job in told.get("jobs", [])]
            if "Idempotent-Replayed" not in answer.headers:
                self.told_at_once.add(key)

    @property
    def job_ids(self) -> list[str]:
        """Of all resources."""
        with self._lock:
            return [job for of_it in self.jobs_of.values() for job in of_it]


@dataclass(frozen=True)
class Account:
    """Counts after everything has settled; the last three must be 0."""

    jobs: int
    states: dict[str, int]
    lost: int
    done_twice: int
    left_behind: int


def account(world: World, accepted: Accepted) -> Account:
    """Look at every row and every stored byte. Raises ``AssertionError`` for an artefact that is not whole."""
    with world.database.reading() as session:
        rows = list(session.scalars(select(JobRow)))
        numbers = dict(
            session.execute(select(GeneratedImageRow.job_id, func.count()).group_by(GeneratedImageRow.job_id)).all()
        )
        adapters = Counter(session.scalars(select(AdapterRow.job_id)))
        digests = {
            *session.scalars(select(GeneratedImageRow.sha256)),
            *session.scalars(select(AdapterRow.archive_sha256)),
            *session.scalars(select(ImageRow.sha256)),
            *(row.result["contact_sheet"] for row in rows if row.kind == JobKind.GENERATION and row.result),
        }
        num_resources = sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in _MADE_BY_CLIENTS)
    by_id = {row.id: row for row in rows}
    final = [job for job in accepted.job_ids if job in by_id and JobState(by_id[job].state).is_final]
    succeeded = [row for row in rows if row.state == JobState.SUCCEEDED]
    wrong = [row.id for row in succeeded if _made(row, numbers, adapters) != _promised(row)]
    wrong += [row.id for row in rows if row.state != JobState.SUCCEEDED and _made(row, numbers, adapters)]
    check_whole(world, digests)
    # What is put from now on is none of this account's.
    remove_orphans(world.database, world.artifacts, now() + timedelta(days=2), keep_seconds=3600)
    return Account(
        jobs=len(rows),
        states=dict(Counter(row.state for row in rows)),
        lost=len(accepted.job_ids) - len(final),
        done_twice=len(wrong) + num_resources - _NUM_OF_THE_WORLD - len(set(accepted.resources.values())),
        left_behind=sum(sha256 not in digests for sha256, _ in world.artifacts.stored()) + _scratch(world),
    )


_MADE_BY_CLIENTS = (DatasetRow, AdaptationRow, GenerationRow)
#: The dataset that the world itself has put in.
_NUM_OF_THE_WORLD = 1


def _made(row: JobRow, images: dict[str, int], adapters: Counter[str]) -> int:
    return adapters[row.id] if row.kind == JobKind.ADAPTATION else images.get(row.id, 0)


def _promised(row: JobRow) -> int:
    result = row.result or {}
    if row.kind == JobKind.ADAPTATION:
        return 1
    return int(result["num_images"]) if row.kind == JobKind.GENERATION else 0


def _scratch(world: World) -> int:
    folder = world.data_dir / "work"
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def check_whole(world: World, digests: set[str]) -> None:
    """Every byte that a row names is there, and is what its name says."""
    for digest in digests:
        content = world.artifacts.path_of(digest).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, f"{digest} is damaged"
