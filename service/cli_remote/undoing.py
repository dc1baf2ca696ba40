"""What takes work back: stopping jobs, and deleting what was made."""

from collections.abc import Sequence

import typer
from pydantic import BaseModel
from rich.text import Text

from defectsynth_client import Adaptation, Adapter, Dataset, Generation, Job
from service.cli_remote.options import Options
from service.cli_remote.session import Found, find, session, unfinished
from service.cli_remote.words import plural


class Cancellation(BaseModel):
    """What was asked to stop."""

    id: str
    canceled: list[Job]


class Deletion(BaseModel):
    """What is gone."""

    deleted: list[str]


def cancel(options: Options, named: str) -> None:
    """Stop a job, or every job of a resource that has not ended."""
    with session(options) as now:
        found = find(now.client, named)
        if isinstance(found, Dataset | Adapter):
            raise ValueError(f"{named} has no jobs to cancel")
        asked = [now.client.cancel(job.id) for job in unfinished(found.all_jobs)]
        told = [f"{job.class_name}: {'stops soon' if not job.state.is_final else job.state}" for job in asked]
        now.give(Cancellation(id=named, canceled=asked), Text("\n".join(told) or f"{named} has ended already."))


def delete(options: Options, named: Sequence[str], is_sure: bool) -> None:
    """Delete resources in the order they are named, after asking; the first that cannot be ends it."""
    if options.as_json and not is_sure:
        raise typer.BadParameter("--json asks nothing: say --yes, too")
    with session(options) as now:
        found = [find(now.client, one) for one in named]
        told = [f"{_what(one)} ({one.id})" for one in found]
        if not is_sure:
            typer.confirm(f"Delete {', '.join(told)}? It cannot be undone.", abort=True, err=True)
        for one in found:
            assert not isinstance(one, Job), "_what refuses it"
            now.client.delete(one)
        now.give(Deletion(deleted=[one.id for one in found]), Text("\n".join(f"{one.id} is deleted." for one in found)))


def _what(found: Found) -> str:
    """It in a few words. Raises ``ValueError`` for a job, which is nothing of its own."""
    match found:
        case Dataset():
            return f"data set {found.name!r} with {plural(found.num_images, 'image')}"
        case Adapter():
            return f"the adapter of {found.class_name}"
        case Adaptation():
            return f"adaptation to {plural(len(found.jobs), 'class', 'classes')}"
        case Generation():
            return f"generation of {plural(sum(one.num_published for one in found.classes), 'image')}"
        case Job():
            raise ValueError(f"{found.id} is a job: stop it with cancel, or delete what it is of, {found.resource_id}")
    return type(found).__name__.lower()
