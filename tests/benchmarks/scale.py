"""Time and memory against how much there is: images, classes, adapters, stored jobs. A table with fitted exponents.

    nice -n 5 python tests/benchmarks/scale.py --plot docs   # an hour on busy cores
    python tests/benchmarks/scale.py --quick                        # smoke test, small sizes
    python tests/benchmarks/scale.py --only jobs --figures FOLDER   # one part; points whose figures lie there are kept

Each point is a process of its own, so that no point's peak hides another's. What is measured is processor time, memory
that came on top of what was there before, and the median wall time of a query; how exponents come from it and what
passes is said in `scale_lines.py`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results_page
from results_page import markdown_table
from scale_lines import HEADER, REMARK, Line
from scale_plots import plot

_HERE = Path(__file__).resolve().parent
_TIMES = 31
#: By the name for ``--only``: what a child measures, and at which sizes; then the sizes of a smoke test.
_MODELS = {
    "images": {"adaptation": ((20, 100, 300), (8, 16)), "judging": ((20, 100, 300), (8, 16))},
    "count": {"count": ((10, 100, 1_000), (2, 8)), "count_one_step": ((10, 100, 1_000, 10_000), (2, 16))},
    "classes": {"classes": ((1, 6, 30), (1, 2))},
    "residents": {"residents": ((1, 30, 300), (1, 5))},
}
#: Stored jobs, of which _WAITING wait; then waiting ones, of _STORED. The sizes of a smoke test after each.
_JOBS, _WAITING = ((1_000, 100_000, 1_000_000), (1_000, 3_000)), 100
_QUEUES, _STORED = ((100, 1_000, 9_000), (10, 100)), 10_000
#: What a longer queue could cost.
_OF_QUEUES = ("poll of a job that waits", "queue page", "claim", "sweep", "counts for a scrape", "home page")
PARTS = (*_MODELS, "jobs")


@dataclass(frozen=True)
class Bench:
    """What was asked for. ``figures``: where each point's lie."""

    base: str
    figures: Path
    quick: bool

    def point(self, program: str, words: Sequence[str], name: str) -> dict[str, Any]:
        """The figures of a child of its own; measured unless they are there."""
        path = self.figures / f"{name}.json"
        if not path.exists():
            print(f"{name} ...", file=sys.stderr, flush=True)
            places = os.pathsep.join([str(results_page.ROOT), os.environ.get("PYTHONPATH", "")])
            environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                [sys.executable, str(_HERE / program), *words], env=environment, capture_output=True, text=True
            )
            if done.returncode or not path.exists():
                raise SystemExit(f"{name} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def of_models(self, part: str) -> Iterator[Line]:
        """Processor time and memory of a worker."""
        for program, (sizes, few) in _MODELS[part].items():
            found = {
                size: self.point(
                    "scale_models.py",
                    [program, str(size), self.base, str(self.figures / f"{program}-{size}.json")],
                    f"{program}-{size}",
                )
                for size in (few if self.quick else sizes)
            }
            for name in next(iter(found.values())):
                seconds = {size: figures[name]["cpu_seconds"] for size, figures in found.items()}
                memory = {size: max(figures[name]["peak_bytes"] / 2**20, 0.1) for size, figures in found.items()}
                yield Line(_OF[name], f"{_WHAT[name]}, processor time", "s", seconds)
                yield Line(_OF[name], f"{_WHAT[name]}, memory on top", "MiB", memory)

    def of_jobs(self, database: str, url: Callable[[int], str]) -> Iterator[Line]:
        """Medians of queries."""
        stored = {size: self._asked(database, url(size), size, _WAITING) for size in _JOBS[self.quick]}
        for what in next(iter(stored.values())):
            yield Line(f"stored jobs, {database}", what, "ms", {size: 1e3 * one[what] for size, one in stored.items()})
        queues = {size: self._asked(database, url(-size), _STORED, size) for size in _QUEUES[self.quick]}
        for what in _OF_QUEUES:
            yield Line(f"waiting jobs, {database}", what, "ms", {size: 1e3 * one[what] for size, one in queues.items()})

    def _asked(self, database: str, url: str, num_jobs: int, num_waiting: int) -> dict[str, float]:
        name = f"jobs-{database}-{num_jobs}-{num_waiting}"
        times = 3 if self.quick else _TIMES
        words = [str(num_jobs), str(num_waiting), url, str(self.figures / f"{name}.json"), str(times)]
        return self.point("scale_jobs.py", words, name)


_OF = {
    "adaptation": "images a class",
    "judging": "images a class",
    "count": "images made",
    "count, one step": "images made",
    "classes": "classes",
    "residents": "adapters",
    "request": "adapters",
}
_WHAT = {
    "adaptation": "adaptation at fixed steps",
    "judging": "two generations of 8 images, the first gated",
    "count": "generation as registered",
    "count, one step": "generation, one step",
    "classes": "adapting each, 4 images each",
    "residents": "loading and keeping all",
    "request": "one image by any of them",
}


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, Callable[[int], str]]]:
    """A new, empty database of each kind for each number; PostgreSQL where it is installed."""
    sys.path.insert(0, str(results_page.ROOT))
    import psycopg

    from tests import servers

    def in_postgres(server: str) -> Callable[[int], str]:
        def made(size: int) -> str:
            name = f"jobs_{size}".replace("-", "of_")
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return f"{server.rpartition('/')[0]}/{name}"

        return made

    urls: dict[str, Callable[[int], str]] = {"SQLite": lambda size: f"sqlite:///{folder / f'{size}.db'}"}
    with servers.postgres() as server:
        yield urls | {"PostgreSQL": in_postgres(server)}


def lines(bench: Bench, parts: Sequence[str], kinds: Sequence[str]) -> Iterator[Line]:
    """All that was asked for."""
    for part in parts:
        if part != "jobs":
            yield from bench.of_models(part)
            continue
        with tempfile.TemporaryDirectory(prefix="scale-") as folder, databases(Path(folder)) as urls:
            for kind in kinds:
                yield from bench.of_jobs(kind, urls[kind])


def main() -> None:
    """Parse the command line, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="mini", help="a registered base model")
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--databases", nargs="+", default=["SQLite", "PostgreSQL"], choices=["SQLite", "PostgreSQL"])
    parser.add_argument("--quick", action="store_true", help="small sizes, some minutes: each point loads its models")
    parser.add_argument("--figures", type=Path, help="keep each point's figures there, and take those that are there")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw performance-scale.png")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = arguments.figures or Path(scratch)
        figures.mkdir(parents=True, exist_ok=True)
        found = list(lines(Bench(arguments.base, figures, arguments.quick), arguments.only, arguments.databases))
    print(f"`{results_page.command()}`, commit {results_page.commit()}, {results_page.machine()}, one thread\n")
    print(markdown_table(HEADER, [line.cells() for line in found]))
    print(f"\n{REMARK}")
    if arguments.plot is not None:
        plot(found, arguments.plot / "performance-scale.png")


if __name__ == "__main__":
    main()
