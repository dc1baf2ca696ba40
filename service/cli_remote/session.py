"""One call of a remote command: the service, the two consoles, and how a result is given out."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType

from defectsynth_client import (
    Adaptation,
    Adapter,
    Client,
    Dataset,
    Evaluation,
    Generation,
    Job,
    Recognition,
    Retries,
)
from service.cli_remote.ending import told_well
from service.cli_remote.options import Options

Found = Dataset | Adaptation | Adapter | Generation | Evaluation | Recognition | Job
#: A person at a terminal would rather hear soon that nobody is there; who watches for hours outlives a restart.
_SHORT_SECONDS, _LONG_SECONDS = 3.0, 300.0
_PIPED_COLUMNS = 160


@dataclass(frozen=True)
class Session:
    """``out`` is for results, ``notes`` for what only a person at a terminal wants: bars, and what to do next."""

    client: Client
    as_json: bool
    out: Console
    notes: Console

    def give(self, answer: BaseModel, *shown: RenderableType) -> None:
        """The result: one JSON document, or what a person reads."""
        if self.as_json:
            typer.echo(json.dumps(answer.model_dump(mode="json"), indent=2))
            return
        for one in shown:
            self.out.print(one)

    def hint(self, words: str) -> None:
        """What to do next, for who looks on."""
        if self.notes.is_terminal and not self.as_json:
            self.notes.print(words, style="dim", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def session(options: Options, *, patient: bool = False) -> Iterator[Session]:
    """Call the service. Whatever goes wrong inside ends the command with its exit code."""
    with told_well(options):
        retries = Retries(total_seconds=_LONG_SECONDS if patient else _SHORT_SECONDS)
        with Client(options.url, options.key, retries=retries) as client:
            yield Session(client, options.as_json, result_console(), Console(stderr=True))


def result_console() -> Console:
    """As wide as the terminal; wide enough for whole lines where there is none."""
    return Console(width=None if sys.stdout.isatty() else _PIPED_COLUMNS)


def find(client: Client, named: str) -> Found:
    """Whatever an id names: its first letters say what it is. Raises ``ValueError`` for what is no id."""
    finders: dict[str, Callable[[str], Found]] = {
        "ds": client.dataset, "adn": client.adaptation, "adp": client.adapter, "gen": client.generation,
        "evl": client.evaluation, "rec": client.recognition, "job": client.job,
    }  # fmt: skip
    prefix = named.partition("_")[0]
    if "_" not in named or prefix not in finders:
        raise ValueError(f"{named!r} is no id: ids begin with {', '.join(f'{one}_' for one in finders)}")
    return finders[prefix](named)


def unfinished(jobs: Sequence[Job]) -> Sequence[Job]:
    """Those that have not ended."""
    return [job for job in jobs if not job.state.is_final]
