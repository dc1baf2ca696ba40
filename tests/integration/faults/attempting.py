"""Jobs that are done again and again: undisturbed once, then with what a test does to them.

The rows of finished jobs are put back into the queue as they were when they were submitted.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from starlette.testclient import TestClient

from service.contracts.ids import DEFAULT_TENANT
from service.contracts.jobs import JobState
from service.main import create_app
from service.store import generations, jobs
from service.store.sweep import sweep
from service.store.tables import AdapterRow, GeneratedImageRow, JobRow
from tests.fakes.attempts import started
from tests.fakes.worker_world import World, now
from worker.orphans import remove_orphans

_LATER_SECONDS = 3600.0
_KILLS_IN_A_ROW = 3
_LOOK_SECONDS = 0.002


@dataclass
class Attempting:
    """Runs the jobs of a resource, whole or in pieces."""

    world: World
    client: TestClient
    draws: random.Random = field(default_factory=lambda: random.Random(20))

    def submitted(self, path: str, body: dict[str, Any]) -> str:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def whole(self) -> None:
        """Work off the queue undisturbed."""
        process = started(self.world.settings.model_dump())
        process.join()
        assert process.exitcode == 0

    def busy_seconds(self, resource_id: str) -> float:
        """The time that the finished jobs of this resource took in their last attempts."""
        times = [(row.started_at, row.finished_at) for row in self.rows(resource_id)]
        return sum((end - start).total_seconds() for start, end in times if start is not None and end is not None)

    def in_pieces(self, resource_id: str, busy_seconds: float) -> int:
        """Work off the queue with processes of which the first few are killed at moments drawn at random.

        The moment is counted from the one at which the process took a job up, so that jobs much shorter than the
        start of a process are hit too. How many processes were killed in the middle of a job.
        """
        num_kills = 0
        for _ in range(_KILLS_IN_A_ROW):
            process = started(self.world.settings.model_dump())
            while process.is_alive() and not self._runs(resource_id):
                time.sleep(_LOOK_SECONDS)
            process.join(self.draws.uniform(0.0, 0.9) * busy_seconds / _KILLS_IN_A_ROW)
            process.kill()
            process.join()
            num_kills += self._runs(resource_id)
            self.give_back()
        self.whole()
        return num_kills

    def _runs(self, resource_id: str) -> bool:
        return any(row.state == JobState.RUNNING for row in self.rows(resource_id))

    def give_back(self) -> None:
        """What the sweep does once the leases ran out."""
        with self.world.database.transaction() as session:
            later = now() + timedelta(seconds=_LATER_SECONDS)
            sweep(session, now=later, max_attempts=1000, resend_after_seconds=_LATER_SECONDS)

    def rows(self, resource_id: str) -> list[JobRow]:
        with self.world.database.reading() as session:
            return jobs.of_resources(session, DEFAULT_TENANT, [resource_id])

    def queue_again(self, resource_id: str) -> None:
        """Forget what the jobs made, bytes too, and put them back as they were submitted."""
        with self.world.database.transaction() as session:
            for row in jobs.of_resources(session, DEFAULT_TENANT, [resource_id]):
                session.execute(delete(AdapterRow).where(AdapterRow.job_id == row.id))
                session.execute(delete(GeneratedImageRow).where(GeneratedImageRow.job_id == row.id))
                row.result, row.failure, row.interim = None, None, None
        remove_orphans(self.world.database, self.world.artifacts, now() + timedelta(days=2), keep_seconds=3600)
        with self.world.database.transaction() as session:
            for row in jobs.of_resources(session, DEFAULT_TENANT, [resource_id]):
                row.state, row.finished_at = JobState.QUEUED, None

    def made(self, resource_id: str) -> dict[str, Any]:
        """By class: digests of adapter and images, and what the job found, without what clock and memory say."""
        found = {}
        for row in self.rows(resource_id):
            assert row.state == JobState.SUCCEEDED, row.failure
            with self.world.database.reading() as session:
                archives = [one.archive_sha256 for one in session.query(AdapterRow).filter_by(job_id=row.id)]
                images = generations.images_of(session, DEFAULT_TENANT, resource_id, row.class_name)
            result = without_seconds(row.result)
            if row.kind == "generation":  # Its features are computed in other batches, which is told in the last digit.
                result = {key: result[key] for key in ("num_images", "judging", "contact_sheet", "warnings")}
            digests = [(image.number, image.sha256, image.seed) for image in images]
            found[row.class_name] = (archives, digests, {**result, "adapter_id": None, "footprint": None})
        return found


def without_seconds(result: Any) -> Any:
    if isinstance(result, dict):
        return {key: without_seconds(value) for key, value in result.items() if "seconds" not in key}
    return [without_seconds(one) for one in result] if isinstance(result, list) else result


@contextmanager
def attempting_in(world: World) -> Iterator[Attempting]:
    """Jobs of this world, submitted through the API."""
    app = create_app(world.settings, database=world.database, artifacts=world.artifacts, send=lambda *_: True)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield Attempting(world, client)
