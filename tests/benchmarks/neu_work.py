"""Units of work of a service, each submitted once: a ledger on disk remembers which resource a unit became."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from service.api.views import (
    AdaptationView,
    EvaluationView,
    GenerationView,
    JobView,
    PageView,
    RecognitionView,
)
from service.contracts.jobs import JobState
from service.demo.display import told
from service.demo.failure import DemoFailed
from service.demo.http import Client

_POLL_SECONDS = 2.0
_LINE_SECONDS = 30.0
#: Jobs wait and none runs for so long: the worker does not come up.
_STALLED_SECONDS = 180.0


#: What has jobs.
R = TypeVar("R", AdaptationView, GenerationView, EvaluationView, RecognitionView)


class Ledger:
    """Unit -> path of its resource and the unit it was made from, in a JSON file that is replaced at every change."""

    def __init__(self, path: Path, plan: dict[str, Any]) -> None:
        self._path = path
        self._kept: dict[str, Any] = {"plan": plan, "commits": [], "units": {}}
        if path.exists():
            self._kept = json.loads(path.read_text(encoding="utf-8"))
        if self._kept["plan"] != plan:
            changed = sorted(key for key, value in plan.items() if self._kept["plan"].get(key) != value)
            raise SystemExit(f"{path} was begun with other {', '.join(changed)}: give the same, or another --out.")

    @property
    def commits(self) -> list[str]:
        """The commits that worked on it, in their order."""
        return list(self._kept["commits"])

    def worked_on_by(self, commit: str) -> None:
        """Remember a commit."""
        if commit not in self._kept["commits"]:
            self._kept["commits"].append(commit)
            self._write()

    def path_of(self, unit: str) -> str | None:
        """Where the unit's resource is, or None where it was not submitted."""
        found: str | None = self._kept["units"].get(unit, {}).get("path")
        return found

    def remember(self, unit: str, path: str, made_from: str | None) -> None:
        """Keep where a unit's resource is, and which unit's resource its request named."""
        self._kept["units"][unit] = {"path": path, "made_from": made_from}
        self._write()

    def forget(self, unit: str) -> list[str]:
        """Forget the unit and whatever was made from it; the units forgotten."""
        gone = [unit]
        for one in gone:  # It grows meanwhile.
            gone += [name for name, kept in self._kept["units"].items() if kept["made_from"] == one]
        for one in gone:
            del self._kept["units"][one]
        self._write()
        return gone

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._kept, indent=1), encoding="utf-8")
        fresh.replace(self._path)


class Work:
    """Submits units that the ledger does not know, and waits for them."""

    def __init__(
        self, client: Client, ledger: Ledger, console: Console, check: Callable[[], None], retry: bool
    ) -> None:
        self.client, self.ledger, self.console = client, ledger, console
        self._check, self._retry = check, retry

    def uploaded(self, unit: str, upload: Callable[[], str]) -> str:
        """The id of the dataset of ``unit``, which ``upload`` makes the first time."""
        if known := self.ledger.path_of(unit):
            return known.rpartition("/")[2]
        made = upload()
        self.ledger.remember(unit, f"/v1/datasets/{made}", None)
        return made

    def submitted(self, unit: str, path: str, payload: BaseModel, view: type[R], made_from: str) -> R | None:
        """The resource of ``unit``, posted the first time; None, and a line, where the service refused it."""
        if known := self.ledger.path_of(unit):
            found = self.client.get(known, view)
            if not (self._retry and _has_failed(found)):
                return found
            self.say(f"tried again: {', '.join(self.ledger.forget(unit))}")
        try:
            made = self.client.post(path, payload, view)
        except DemoFailed as error:
            self._check()
            self.say(f"{unit} was refused: {error}")
            return None
        self.ledger.remember(unit, f"{path}/{made.id}", made_from)
        return made

    def finished(self, verb: str, units: dict[str, R | None]) -> dict[str, R]:
        """Wait for all jobs of ``units``; the resources as they ended."""
        there = {unit: resource for unit, resource in units.items() if resource is not None}
        jobs = [job for resource in there.values() for job in resource.jobs]
        if any(not job.state.is_final for job in jobs):
            self._follow(verb, jobs)
            there = {unit: self._again(unit, type(resource)) for unit, resource in there.items()}
        for unit, resource in there.items():
            for job in resource.jobs:
                if job.state is not JobState.SUCCEEDED:
                    why = f"{job.failure.message} {job.failure.remedy}" if job.failure else ""
                    self.say(f"{unit}, {job.class_name}: {job.state}. {why}")
        return there

    def say(self, message: str) -> None:
        """One line."""
        self.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def _again(self, unit: str, view: type[R]) -> R:
        known = self.ledger.path_of(unit)
        assert known is not None, unit
        return self.client.get(known, view)

    def _follow(self, verb: str, jobs: Sequence[JobView]) -> None:
        """One bar for all jobs on a terminal; a line now and then elsewhere."""
        waiting = {job.id: job for job in jobs if not job.state.is_final}
        begun = due = busy = time.monotonic()
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), TaskProgressColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[told]}", markup=False),
        )  # fmt: skip
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bars:
            bar = bars.add_task(verb, total=float(len(jobs)), told="")
            while waiting:
                time.sleep(_POLL_SECONDS)
                self._check()
                before = len(waiting)
                running = self._polled(waiting)
                busy = time.monotonic() if running or len(waiting) < before else busy
                if time.monotonic() - busy > _STALLED_SECONDS:
                    raise DemoFailed(f"No job was taken up for {_STALLED_SECONDS:.0f} s: see service.log in --out.")
                begun_ones = [job for job in running if job.id in waiting and job.progress]
                done = len(jobs) - len(waiting) + sum(job.progress.fraction for job in begun_ones if job.progress)
                now = "; ".join(f"{job.class_name}: {told(job)}" for job in running)
                bars.update(bar, completed=done, told=now)
                if not self.console.is_terminal and time.monotonic() >= due:
                    due = time.monotonic() + _LINE_SECONDS
                    self.say(f"{verb} [{time.monotonic() - begun:5.0f} s, {done:.1f}/{len(jobs)}] {now}")

    def _polled(self, waiting: dict[str, JobView]) -> list[JobView]:
        """Take out of ``waiting`` what ended; the service's running jobs, whose turn the queue alone decides."""
        running = self.client.get(f"/v1/jobs?state={JobState.RUNNING}", PageView[JobView]).items
        busy = {job.id for job in running}
        for known in [job for job in waiting.values() if job.id not in busy]:
            job = waiting[known.id] = self.client.get(known.links["self"], JobView)
            if job.state.is_final:
                del waiting[job.id]
        return running


def _has_failed(resource: AdaptationView | GenerationView | EvaluationView | RecognitionView) -> bool:
    return any(job.state in (JobState.FAILED, JobState.CANCELED) for job in resource.jobs)
