"""What a person is shown of each thing that the service answers."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from defectsynth_client import Adaptation, Adapter, Dataset, Evaluation, Generation, Job, Receipt, Recognition, State
from defectsynth_client.models import Work
from defectsynth_client.quality import GenerationResult
from service.cli_remote.scores import quality, recognition_table
from service.cli_remote.words import plural, stage_words, state_markup, taken

_SPLITS = ("train", "validation", "test")


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Without lines but one below the head."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def shown(found: Dataset | Adapter | Work) -> RenderableType:
    """Anything that an id names."""
    match found:
        case Dataset():
            return dataset(found)
        case Adapter():
            return adapter(found)
        case Job():
            return Group(_heading(f"{found.kind} of {found.class_name}", found.id, found.state), jobs([found]))
        case Adaptation() | Generation() | Evaluation() | Recognition():
            return work(found)
    raise TypeError(type(found))


def _heading(title: str, named: str, state: State | None = None) -> Text:
    told = f"  {state_markup(state)}" if state is not None else ""
    return Text.from_markup(f"[bold]{escape(title)}[/]  [cyan]{named}[/]{told}\n")


def receipt(answer: Receipt) -> RenderableType:
    """What became of an upload: what is there now, what was left out and why, and what to know of the rest."""
    count, classes = plural(answer.accepted, "image"), plural(len(answer.classes), "class", "classes")
    parts: list[RenderableType] = [
        Text.from_markup(f"[bold green]✓[/] {count} of {classes} accepted\n"),
        dataset(answer),
    ]
    if answer.refused:
        table = plain_table("file", "why", "what to do")
        for one in answer.refused:
            table.add_row(escape(one.filename), escape(one.reason), escape(one.remedy))
        title = Text.from_markup(f"\n[bold red]✗[/] {plural(len(answer.refused), 'file')} refused\n")
        parts += [title, _indented(table)]
    return Group(*parts)


def dataset(found: Dataset) -> RenderableType:
    """How many images there are, by class and split, and the warnings."""
    table = plain_table("class", *_SPLITS, right=_SPLITS)
    for name, splits in found.classes.items():
        table.add_row(escape(name), *(str(splits.get(split) or "·") for split in _SPLITS))
    parts: list[RenderableType] = [
        _heading(found.name, f"{found.id}  version {found.version.number}"),
        _indented(table),
    ]
    if found.warnings:
        parts.append(Text())
    for one in found.warnings:
        of_class = f"[bold]{escape(one.class_name)}:[/] " if one.class_name is not None else ""
        parts.append(Text.from_markup(f"[bold yellow]![/] {of_class}{escape(one.message)}"))
    return Group(*parts)


def adapter(found: Adapter) -> RenderableType:
    """One adapter."""
    size = f"{found.size_bytes / 2**20:.1f} MiB"
    told = f"{found.base_model}, {found.checkpoint or 'as trained'}, {size}, of {found.adaptation_id}"
    return Group(_heading(f"Adapter of {found.class_name}", found.id), Text(f"  {told}"))


def work(found: Adaptation | Generation | Evaluation | Recognition) -> RenderableType:
    """A resource with its jobs, and its result where there is one."""
    parts: list[RenderableType] = [_heading(type(found).__name__, found.id, found.state), jobs(found.jobs)]
    match found:
        case Adaptation() if found.adapters:
            parts += [Text("\nAdapters\n", style="bold"), _indented(_adapters(found))]
        case Generation():
            told = ", ".join(f"{one.num_published} of {one.num_images} {one.class_name}" for one in found.classes)
            so_far = "" if all(job.state.is_final for job in found.jobs) else " so far"
            parts.append(Text(f"\n  images{so_far}: {told}"))
        case Evaluation() if found.result is not None:
            parts += [Text(), quality([found.result.quality])]
        case Recognition() if found.result is not None:
            parts += [Text(), recognition_table(found.result)]
    return Group(*parts)


def is_empty(found: Work) -> bool:
    """A generation may end well with every image rejected; whatever a script does next has nothing to do it with."""
    return isinstance(found, Generation) and not any(one.num_published for one in found.classes)


def _adapters(found: Adaptation) -> Table:
    table = plain_table("class", "id", "checkpoint", "trials", right=("trials",))
    for one in found.adapters:
        num_trials = len(found.trials.get(one.class_name, []))
        table.add_row(escape(one.class_name), f"[cyan]{one.id}[/]", one.checkpoint or "", str(num_trials))
    return table


def jobs(listed: Sequence[Job]) -> RenderableType:
    """Jobs, a row each; below them why those failed that did, and why there are fewer images than were asked for."""
    at = () if all(job.state.is_final for job in listed) else ("at",)
    table = plain_table("class", "state", *at, "time", right=("time",))
    for job in listed:
        where = [escape(_at(job))] if at else []
        table.add_row(escape(job.class_name), state_markup(job.state), *where, taken(job))
    failed = [
        Text.from_markup(f"\n[bold red]✗[/] {escape(f'{job.class_name}: {job.failure.message} {job.failure.remedy}')}")
        for job in listed
        if job.failure is not None
    ]
    warned = [
        Text.from_markup(f"\n[bold yellow]![/] {escape(f'{job.class_name}: {one}')}")
        for job in listed
        if isinstance(job.result, GenerationResult)
        for one in job.result.warnings
    ]
    return Group(_indented(table), *failed, *warned)


def _at(job: Job) -> str:
    if job.state.is_final:
        return ""
    fraction = f"{job.progress.fraction:4.0%}  " if job.progress is not None else ""
    return f"{fraction}{stage_words(job)}"


def recent_jobs(listed: Sequence[Job]) -> Table:
    """The queue and what was done lately, over all resources."""
    table = plain_table("job", "what", "class", "state", "at", "time", right=("time",))
    for job in listed:
        told = (job.kind, escape(job.class_name), state_markup(job.state), escape(_at(job)), taken(job))
        table.add_row(f"[cyan]{job.id}[/]", *told)
    return table


def _indented(shown: RenderableType) -> Padding:
    return Padding(shown, (0, 0, 0, 2), expand=False)
