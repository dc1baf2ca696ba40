"""What each remote command does. What it says on the way goes to stderr, what it found to stdout."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import cast

import typer
from pydantic import BaseModel
from rich.console import Group
from rich.markup import escape
from rich.progress import DownloadColumn, Progress, TextColumn
from rich.text import Text

from defectsynth_client import (
    Adaptation,
    AdaptationSettings,
    Adapter,
    Dataset,
    Evaluation,
    Generation,
    GenerationReport,
    GenerationSettings,
    Job,
    Recognition,
    RecognitionReport,
    RecognitionSettings,
    State,
    TopUp,
    dataset_images,
    generation_images,
)
from defectsynth_client.requests import Split
from service.cli_remote import proposals, scores, showing
from service.cli_remote.ending import ExitCode
from service.cli_remote.following import Watched, followed, wide_bar
from service.cli_remote.options import Options
from service.cli_remote.session import Session, find, session
from service.cli_remote.typed import Judged

_RECENT = 15
_STDOUT = Path("-")
Reported = Adaptation | Generation | Evaluation | Recognition


class Saved(BaseModel):
    """A file that was written."""

    id: str
    path: Path
    size_bytes: int


class Overview(BaseModel):
    """How the service stands, and its latest jobs."""

    url: str
    status: str
    checks: dict[str, str]
    remedies: dict[str, str]
    jobs: list[Job]


def upload(options: Options, source: Path, name: str) -> None:
    """Make a data set of a folder or zip."""
    with session(options) as now:
        with _bytes_bar(now, f"uploading {source.name}", "the service looks at every image") as moved:
            receipt = now.client.upload(source, name, on_sent=moved)
        now.give(receipt, showing.receipt(receipt))
        now.hint(f"\nNext: defectsynth adapt {receipt.id} --watch")


def adapt(
    options: Options, dataset_id: str, classes: Sequence[str], base_model: str | None, settings: Mapping[str, object],
    watch: bool,
) -> None:  # fmt: skip
    """Queue an adaptation."""
    with session(options) as now:
        made = now.client.adapt(
            dataset_id, classes=classes or None, base_model=base_model,
            settings=cast(AdaptationSettings, settings) or None,
        )  # fmt: skip
    _accepted(options, made, watch, f"Next: defectsynth generate {made.id} --images 200 --watch")


def preflight(
    options: Options, dataset_id: str, classes: Sequence[str], base_model: str | None, settings: Mapping[str, object]
) -> None:
    """What an adaptation would meet and take."""
    with session(options) as now:
        told = now.client.preflight(
            dataset_id, classes=classes or None, base_model=base_model,
            settings=cast(AdaptationSettings, settings) or None,
        )  # fmt: skip
        now.give(told, proposals.preflight(told))


def top_up(options: Options, named: str, judged: Judged, out: Path | None) -> None:
    """Images proposed for the weak classes; the request for them is written where ``out`` says."""
    kind = named.partition("_")[0]
    if kind not in ("gen", "adn", "rec"):
        raise typer.BadParameter(f"{named}: name a recognition (rec_), a generation (gen_) or an adaptation (adn_)")
    with session(options) as now:
        told = now.client.top_up(
            generation_id=named if kind == "gen" else None, adaptation_id=named if kind == "adn" else None,
            recognition_id=named if kind == "rec" else None, **judged.said,
        )  # fmt: skip
        if out is not None:
            _write_proposal(now, named, told, out)
            return
        now.give(told, proposals.top_up(told))
        if told.request is not None:
            again = shlex.join(["defectsynth", "top-up", named, *judged.words])
            now.hint(f"\nNext: {again} --out top-up.json\n      {proposals.command_to_send(Path('top-up.json'))}")


def _write_proposal(now: Session, named: str, told: TopUp, out: Path) -> None:
    """Raises ``NothingProposed`` where there is no request: no script shall go on without the file."""
    if told.request is None:
        raise proposals.NothingProposed(f"Nothing is written. {told.sentence}")
    text = json.dumps(told.request.given, indent=2)
    if out == _STDOUT:
        typer.echo(text)
        return
    out.write_text(f"{text}\n", encoding="utf-8")
    if not now.as_json:
        now.out.print(proposals.top_up(told), "")
    _saved(now, named, out)
    now.hint(f"\nEdit it as you like. Next: {proposals.command_to_send(out)}")


def generate(
    options: Options, named: str, num_images: int | Mapping[str, int], settings: Mapping[str, object],
    seed: int | None, watch: bool,
) -> None:  # fmt: skip
    """Queue a generation by an adaptation, or by one adapter."""
    with session(options) as now:
        is_adapter = named.startswith("adp_")
        made = now.client.generate(
            None if is_adapter else named, num_images, adapter_ids=[named] if is_adapter else None,
            settings=cast(GenerationSettings, settings) or None, seed=seed,
        )  # fmt: skip
    _generation_accepted(options, made, watch)


def generate_from(options: Options, request: Mapping[str, object], watch: bool) -> None:
    """Queue a generation by a request that was written elsewhere."""
    with session(options) as now:
        made = now.client.generate_from(request)
    _generation_accepted(options, made, watch)


def _generation_accepted(options: Options, made: Generation, watch: bool) -> None:
    _accepted(options, made, watch, f"Next: defectsynth report {made.id}\n      defectsynth download {made.id}")


def evaluate(options: Options, generation_id: str, dataset_id: str, class_name: str, split: str, watch: bool) -> None:
    """Queue an evaluation."""
    with session(options) as now:
        real = dataset_images(dataset_id, class_name, cast(Split, split))
        made = now.client.evaluate(real, generation_images(generation_id, class_name))
    _accepted(options, made, watch, "")


def recognise(
    options: Options, dataset_id: str, generation_id: str, classes: Sequence[str], settings: Mapping[str, object],
    watch: bool,
) -> None:  # fmt: skip
    """Queue a recognition."""
    with session(options) as now:
        given = cast(RecognitionSettings, settings) or None
        made = now.client.recognise(dataset_id, generation_id, classes=classes or None, settings=given)
    _accepted(options, made, watch, f"Next: defectsynth report {made.id}")


def _accepted(options: Options, made: Watched, watch: bool, after: str) -> None:
    """What was queued, or what became of it where it is watched."""
    if watch:
        _watched(options, made, after)
        return
    with session(options) as now:
        now.give(made, showing.shown(made))
        now.hint(f"\nNext: defectsynth watch {made.id}")


def _watched(options: Options, work: Watched, after: str = "") -> None:
    with session(options, patient=True) as now:
        ended = followed(now, work)
        now.give(ended, showing.shown(ended))
        if ended.state is not State.SUCCEEDED or showing.is_empty(ended):
            raise typer.Exit(ExitCode.FAILED)
        now.hint(f"\n{after}" if after else "")


def watch(options: Options, named: str) -> None:
    """Follow a job, or all jobs of a resource, to the end."""
    with session(options) as now:
        found = find(now.client, named)
        if isinstance(found, Dataset | Adapter):
            raise ValueError(f"{named} has no jobs to watch")
    _watched(options, found)


def status(options: Options, named: str | None) -> None:
    """One thing as it stands now, or the service and its latest jobs."""
    with session(options) as now:
        if named is not None:
            found = find(now.client, named)
            now.give(found, showing.shown(found))
            return
        ready, latest = now.client.readiness(), list(islice(now.client.jobs(), _RECENT))
        overview = Overview(url=now.client.url, status=ready.status, checks=ready.checks, remedies=ready.remedies,
                            jobs=latest)  # fmt: skip
        now.give(overview, _service(overview), showing.recent_jobs(latest) if latest else Text("No jobs yet."))


def _service(overview: Overview) -> Group:
    colour = {"ready": "green", "degraded": "yellow"}.get(overview.status, "red")
    wrong = [(name, told) for name, told in overview.checks.items() if told != "ok"]
    return Group(
        Text.from_markup(f"[bold {colour}]● {overview.status}[/]  {escape(overview.url)}"),
        *(Text.from_markup(f"  [yellow]{name}: {escape(told)}.[/] {escape(overview.remedies.get(name, ''))}")
          for name, told in wrong),
        Text(),
    )  # fmt: skip


def report(options: Options, named: str, out: Path | None) -> None:
    """The figures of what has ended, on the terminal or as a file."""
    with session(options) as now:
        found = find(now.client, named)
        if not isinstance(found, Adaptation | Generation | Evaluation | Recognition):
            raise ValueError(f"{named} has no report: name an adaptation, generation, evaluation or recognition")
        if out is not None:
            _write_report(now, found, out)
            return
        figures = _figures(now, found)
        shown = showing.shown(found)
        now.give(figures, scores.generation_report(figures) if isinstance(figures, GenerationReport) else shown)
        if "report_html" in found.links:
            now.hint(f"\nIn words, with pictures: defectsynth report {named} --out report.html")


def _write_report(now: Session, found: Reported, out: Path) -> None:
    if out.suffix.lower() == ".json":
        out.write_text(json.dumps(_figures(now, found).model_dump(mode="json"), indent=2), encoding="utf-8")
    elif isinstance(found, Evaluation):
        raise ValueError(f"{out}: the report of an evaluation can be had as .json")
    else:
        now.client.download_report(found, out)
    _saved(now, found.id, out)


def _figures(now: Session, found: Reported) -> GenerationReport | RecognitionReport | Adaptation | Evaluation:
    if isinstance(found, Generation):
        return now.client.generation_report(found.id)
    return now.client.recognition_report(found.id) if isinstance(found, Recognition) else found


def download(
    options: Options, named: str, out: Path | None, layout: str | None, *, include_real: bool, include_rejected: bool,
    normal_class: str | None,
) -> None:  # fmt: skip
    """A generation's images, or an adapter, as a zip."""
    with session(options) as now:
        found = find(now.client, named)
        if not isinstance(found, Generation | Adapter):
            raise ValueError(f"{named} is nothing to download: name a generation (gen_) or an adapter (adp_)")
    to = out or Path(f"{named}.zip")
    to = to / f"{named}.zip" if to.is_dir() else to
    with session(options, patient=True) as now:
        with _bytes_bar(now, f"downloading {to.name}") as moved:
            if isinstance(found, Adapter):
                now.client.download_adapter(found, to, on_received=moved)
            else:
                now.client.download_archive(
                    found.id, to, layout=layout, include_real=include_real, include_rejected=include_rejected,
                    normal_class=normal_class, on_received=moved,
                )  # fmt: skip
        _saved(now, named, to)


def _saved(now: Session, named: str, path: Path) -> None:
    saved = Saved(id=named, path=path, size_bytes=path.stat().st_size)
    now.give(saved, Text.from_markup(f"[bold green]✓[/] {escape(str(path))}  [dim]{_size(saved.size_bytes)}[/]"))


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.1f} MiB" if num_bytes >= 2**20 else f"{num_bytes / 2**10:.1f} KiB"


@contextmanager
def _bytes_bar(now: Session, what: str, then: str = "") -> Iterator[Callable[[int, int | None], None]]:
    """A bar of bytes for who looks on; ``then``: what goes on when all have been moved."""
    columns = (TextColumn("{task.description}", markup=False), wide_bar(), DownloadColumn(binary_units=True))
    with Progress(*columns, console=now.notes, transient=True, disable=not now.notes.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def moved(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, description=then if then and done == total else what)

        yield moved
