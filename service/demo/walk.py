"""The demo's path: images in, adapters, synthetic images, quality; every step over HTTP."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from service.api.views import AdaptationView, GenerationReport, GenerationView, JobView, ReadyView, ReceiptView
from service.contracts.adaptations import AdaptationResult
from service.contracts.datasets import Split
from service.contracts.ids import AdaptationId, DatasetId
from service.contracts.jobs import JobState
from service.contracts.requests import AdaptationRequest, GenerationRequest
from service.demo import inputs, summary
from service.demo.display import display_for
from service.demo.failure import DemoFailed
from service.demo.http import Client
from service.demo.launch import Service, running_service
from service.demo.output import Output, prepared, unpack
from service.demo.summary import ClassOutcome, Report
from service.registry import load_base_models
from service.settings import Settings

_READY_TIMEOUT_SECONDS = 120.0
_POLL_SECONDS = 0.5
#: The same images come out of the same build on the same machine.
_SEED = 0


@dataclass(frozen=True)
class Plan:
    """What a person asked for. ``data`` none: drawn samples."""

    data: Path | None
    out: Path
    num_images: int
    base_model: str
    keep: bool


def walk(plan: Plan, settings: Settings, console: Console) -> bool:
    """Run the whole demo; False where a class failed and others came out. Raises ``DemoFailed``."""
    _check_base_model(plan.base_model, settings)
    if plan.data is not None:
        inputs.check_data(plan.data)
    output = prepared(plan.out)
    clock = _Clock()
    try:
        with clock.measured("packing"):
            archive = output.temporary("upload.zip")
            inputs.pack(plan.data or inputs.draw_samples(output.samples), archive)
        with running_service(_own(inputs.with_room_for(settings, archive), output), output.log) as service:
            with clock.measured("starting"), console.status("Starting the service ..."):
                url = service.url()
            with closing(Client(url, service.check)) as client:
                walker = _Walker(plan, client, service, output, console, clock, settings.min_train_images)
                report = walker.run(archive)
    finally:
        if not plan.keep:
            shutil.rmtree(output.data_dir, ignore_errors=True)
    summary.write(report, output.report, output.summary)
    console.print(summary.render(report, console.width))
    return report.complete


def _check_base_model(name: str, settings: Settings) -> None:
    try:
        entries = load_base_models(settings)
    except ValueError as error:
        raise DemoFailed(str(error)) from error
    if name not in entries:
        raise DemoFailed(f"The base model {name!r} is not registered; registered: {', '.join(sorted(entries))}.")
    path = Path(entries[name].path)
    is_folder = path.is_absolute() or path.parts[:1] == ("..",)  # anything else may be a hub id
    if is_folder and not (path / "model_index.json").is_file():
        raise DemoFailed(
            f"The base model {name!r} has no weights in {path}. `defectsynth doctor` says how to get them."
        )


def _own(settings: Settings, output: Output) -> Settings:
    """A service of the demo's own: its own data, loopback, a free port; hardware and models as configured."""
    own = {
        "data_dir": output.data_dir, "database_url": None, "broker_url": None, "admin_key": None,
        "host": "127.0.0.1", "port": 0,
    }  # fmt: skip
    return settings.model_copy(update=own)


class _Clock:
    """Seconds of each part of the demo, in the order they began."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measured(self, part: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = round(time.monotonic() - begun, 2)

    def total(self) -> float:
        return round(time.monotonic() - self._begun, 2)


@dataclass
class _Walker:
    """One run against one service."""

    plan: Plan
    client: Client
    service: Service
    output: Output
    console: Console
    clock: _Clock
    min_train_images: int
    outcomes: dict[str, ClassOutcome] = field(default_factory=dict)

    def run(self, archive: Path) -> Report:
        with self.clock.measured("waiting for a worker"), self.console.status("Waiting for the worker ..."):
            self._wait_until_ready()
        with self.clock.measured("uploading"), self.console.status("Uploading ..."):
            name = (self.plan.data or self.output.samples).resolve().name[:200]
            receipt = self.client.upload("/v1/datasets", name, archive, ReceiptView)
        self._say(f"Uploaded {receipt.accepted} images of {len(receipt.classes)} classes as {receipt.id}"
                  f"{f', {len(receipt.refused)} files were refused' if receipt.refused else ''}.")  # fmt: skip
        with self.clock.measured("adapting"):
            adaptation = self._adapt(receipt)
        with self.clock.measured("generating"):
            generation = self._generate(adaptation)
        with self.clock.measured("downloading"), self.console.status("Downloading ..."):
            self._download(generation)
        return self._report(receipt, generation)

    def _wait_until_ready(self) -> None:
        give_up_at = time.monotonic() + _READY_TIMEOUT_SECONDS
        while (ready := self.client.get("/health/ready", ReadyView)).status != "ready":
            self.service.check()
            if time.monotonic() > give_up_at:
                checks = ", ".join(f"{name}: {told}" for name, told in ready.checks.items())
                raise self.service.failure(f"The service is not ready after {_READY_TIMEOUT_SECONDS:.0f} s ({checks}).")
            time.sleep(_POLL_SECONDS)

    def _adapt(self, receipt: ReceiptView) -> AdaptationView:
        """One adaptation of every class that has images enough; the others are named."""
        for name, counts in receipt.classes.items():
            number = counts.get(Split.TRAIN, 0)
            scarce = f"{number} images to learn from, and {self.min_train_images} are needed. Add some."
            self.outcomes[name] = ClassOutcome(
                class_name=name, failure=scarce if number < self.min_train_images else None
            )
        request = AdaptationRequest(
            dataset_id=DatasetId(receipt.id), classes=self._going_on("adapted"), base_model=self.plan.base_model
        )
        adaptation = self.client.post("/v1/adaptations", request, AdaptationView)
        for job in self._follow("adapting", adaptation.jobs):
            outcome = self.outcomes[job.class_name]
            outcome.failure = _failure_of(job)
            outcome.adaptation = job.result if isinstance(job.result, AdaptationResult) else None
        return adaptation

    def _generate(self, adaptation: AdaptationView) -> GenerationView:
        request = GenerationRequest(
            adaptation_id=AdaptationId(adaptation.id),
            num_images=dict.fromkeys(self._going_on("adapted"), self.plan.num_images),
            seed=_SEED,
        )
        generation = self.client.post("/v1/generations", request, GenerationView)
        jobs = self._follow("generating", generation.jobs)
        report = self.client.get(f"/v1/generations/{generation.id}/report", GenerationReport)
        for job in jobs:
            self.outcomes[job.class_name].failure = _failure_of(job)
            self.outcomes[job.class_name].generation = report.results.get(job.class_name)
        return generation

    def _download(self, generation: GenerationView) -> None:
        finished = self._going_on("generated")
        archive = self.output.temporary("download.zip")
        self.client.download(f"/v1/generations/{generation.id}/archive", archive)
        num_images = unpack(archive, self.output.images)
        made = (self.outcomes[name].generation for name in finished)
        told = sum(one.num_images for one in made if one is not None)
        if num_images != told:
            raise self.service.failure(f"The archive holds {num_images} images, and the report tells of {told}.")
        self.output.contact_sheets.mkdir()
        for name in finished:
            path = f"/v1/generations/{generation.id}/classes/{quote(name)}/contact-sheet"
            self.client.download(path, self.output.contact_sheets / f"{name}.png")

    def _follow(self, verb: str, jobs: list[JobView]) -> list[JobView]:
        """Poll until every job is final; the jobs as they ended."""
        known, etags = {job.id: job for job in jobs}, dict[str, str | None]()
        with display_for(self.console, verb) as display:
            display.show(list(known.values()))
            while waiting := [job for job in known.values() if not job.state.is_final]:
                time.sleep(_POLL_SECONDS)
                self.service.check()
                for job in waiting:
                    changed, etags[job.id] = self.client.get_changed(job.links["self"], JobView, etags.get(job.id))
                    known[job.id] = changed or job
                display.show(list(known.values()))
        return list(known.values())

    def _going_on(self, done: str) -> list[str]:
        """Classes that nothing has stopped so far. Raises ``DemoFailed`` where none is left."""
        names = [one.class_name for one in self.outcomes.values() if one.failure is None]
        if not names:
            told = "\n".join(f"  {one.class_name}: {one.failure}" for one in self.outcomes.values())
            raise self.service.failure(f"No class could be {done}.\n{told}")
        return names

    def _report(self, receipt: ReceiptView, generation: GenerationView) -> Report:
        files = {
            "images": self.output.images, "contact sheets": self.output.contact_sheets, "report": self.output.report,
            "this summary": self.output.summary, "service's log": self.output.log,
        }  # fmt: skip
        return Report(
            software=f"defectsynth {version('defectsynth')}",
            base_model=self.plan.base_model,
            dataset_id=receipt.id,
            generation_id=generation.id,
            num_images_a_class=self.plan.num_images,
            classes=list(self.outcomes.values()),
            refused=receipt.refused,
            warnings=receipt.warnings,
            seconds={**self.clock.seconds, "in all": self.clock.total()},
            files={name: str(path) for name, path in files.items()},
        )

    def _say(self, message: str) -> None:
        self.console.print(message, markup=False, highlight=False, soft_wrap=True)


def _failure_of(job: JobView) -> str | None:
    if job.state is JobState.SUCCEEDED:
        return None
    if job.failure is not None:
        return f"{job.failure.message} {job.failure.remedy}"
    return f"its job was {job.state}."
