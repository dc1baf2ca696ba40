"""The remote commands as they are typed. What they need is imported when one runs: no image has all packages."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.cli_remote.completing import ids
from service.cli_remote.misuse import Command
from service.cli_remote.options import Options
from service.cli_remote.typed import judged_of, number_of, request_of, settings_of

_PANEL = "A running service"
_USUAL_NUM_IMAGES = 100
_MISSING = "The remote commands need the package defectsynth-client, which lies beside this one: pip install ./client"

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="DEFECTSYNTH_URL", help="The service; http://127.0.0.1:8000 when left out."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", envvar="DEFECTSYNTH_API_KEY", help="API key. Better in the variable: others can see a command line."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, also of an error.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Wait for the end; Ctrl-C leaves the work running.")]
Classes = Annotated[list[str] | None, typer.Option("--class", help="Only this class; give it again for more.")]
SettingsJson = Annotated[
    str | None, typer.Option("--settings", help="Any other settings, as JSON or @file; see /docs of the service.")
]
Anything = Annotated[str, typer.Argument(metavar="ID", help="Its first letters say what it is.", autocompletion=ids())]


def add_to(app: typer.Typer) -> None:
    """Every remote command, below a heading of its own in --help."""
    for command in (
        upload, adapt, generate, evaluate, recognise, top_up, status, watch, report, download, cancel, delete,
    ):  # fmt: skip
        app.command(cls=Command, rich_help_panel=_PANEL)(_with_the_client(command))


def _with_the_client(command: Callable[..., None]) -> Callable[..., None]:
    """Says what to install where the client is not."""

    @functools.wraps(command)
    def run(*args: object, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
        except ModuleNotFoundError as error:
            Console(stderr=True).print(f"{_MISSING} ({error.name} is missing)", style="red", soft_wrap=True)
            raise typer.Exit(1) from None

    return run


def upload(
    source: Annotated[
        Path, typer.Argument(exists=True, help="A folder with a sub-folder a class (or split/class), or a zip of one.")
    ],
    name: Annotated[str, typer.Option(help="Of the data set; the folder's when left out.")] = "",
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Upload images as a new data set; says which files were refused, and why."""
    from service.cli_remote import doing

    doing.upload(Options(url, key, as_json), source, name)


def adapt(
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET", autocompletion=ids("datasets"))],
    classes: Classes = None,
    base_model: Annotated[str | None, typer.Option(help="A registered base model.")] = None,
    trials: Annotated[int | None, typer.Option(min=0, help="Of the search for the best settings.")] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    settings: SettingsJson = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would meet and take; queue nothing.")] = False,
    watch: Watch = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Adapt a base model to the classes of a data set."""
    from service.cli_remote import doing

    given = settings_of(settings)
    if trials is not None:
        given["search"] = {**given.get("search", {}), "max_trials": trials}
    if seed is not None:
        given["seed"] = seed
    if dry_run:
        doing.preflight(Options(url, key, as_json), dataset_id, classes or [], base_model, given)
    else:
        doing.adapt(Options(url, key, as_json), dataset_id, classes or [], base_model, given, watch)


def generate(
    named: Annotated[
        str | None,
        typer.Argument(metavar="ADAPTATION", help="Or one adapter.", autocompletion=ids("adaptations", "adapters")),
    ] = None,
    num_images: Annotated[
        int | None, typer.Option("--images", "-n", min=1, help="Of each class; 100 when left out.")
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class, or NAME=NUMBER; give it again for more.")
    ] = None,
    strength: Annotated[float | None, typer.Option(help="How far from the source; the search's when left out.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Drawn and recorded when left out.")] = None,
    settings: SettingsJson = None,
    request: Annotated[
        typer.FileText | None,
        typer.Option(
            "--request",
            encoding="utf-8",
            help="A file with the JSON of a whole request, such as `top-up --out` writes, in the place of all this; "
            "- reads it from stdin.",
        ),
    ] = None,
    watch: Watch = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Make synthetic images."""
    from service.cli_remote import doing

    options = Options(url, key, as_json)
    if request is not None:
        if any(one is not None for one in (named, num_images, classes, strength, seed, settings)):
            raise typer.BadParameter("--request says all of it: leave the rest out, or write it into the file")
        doing.generate_from(options, request_of(request), watch)
        return
    if named is None:
        raise typer.BadParameter("name an adaptation or an adapter, or give --request")
    each = num_images if num_images is not None else _USUAL_NUM_IMAGES
    given = settings_of(settings)
    if strength is not None:
        given["strength"] = strength
    wanted = dict(number_of(one, each) for one in classes) if classes else each
    doing.generate(options, named, wanted, given, seed, watch)


def evaluate(
    generation_id: Annotated[str, typer.Argument(metavar="GENERATION", autocompletion=ids("generations"))],
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET", autocompletion=ids("datasets"))],
    class_name: Annotated[str, typer.Option("--class", help="The class to score.")],
    split: Annotated[str, typer.Option(help="Real images of this split: train, validation or test.")] = "test",
    watch: Watch = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Score synthetic images of a class against real ones."""
    from service.cli_remote import doing

    doing.evaluate(Options(url, key, as_json), generation_id, dataset_id, class_name, split, watch)


def recognise(
    dataset_id: Annotated[str, typer.Argument(metavar="DATASET", autocompletion=ids("datasets"))],
    generation_id: Annotated[str, typer.Argument(metavar="GENERATION", autocompletion=ids("generations"))],
    classes: Classes = None,
    seeds: Annotated[int | None, typer.Option(min=2, help="Classifiers trained for each arm.")] = None,
    settings: SettingsJson = None,
    watch: Watch = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Measure whether synthetic images help a classifier."""
    from service.cli_remote import doing

    given = settings_of(settings)
    if seeds is not None:
        given["num_seeds"] = seeds
    doing.recognise(Options(url, key, as_json), dataset_id, generation_id, classes or [], given, watch)


def top_up(
    named: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A recognition, or a generation or adaptation with --recall or --matrix.",
            autocompletion=ids("recognitions", "generations", "adaptations"),
        ),
    ],
    recalls: Annotated[
        list[str] | None, typer.Option("--recall", help="NAME=SHARE of your own classifier; give it again for more.")
    ] = None,
    matrix: Annotated[
        Path | None,
        typer.Option(help="A file with your classifier's confusion matrix, or its recalls: CSV or JSON."),
    ] = None,
    other_classes: Annotated[
        list[str] | None, typer.Option("--other-class", help="In the matrix and never adapted, such as ok.")
    ] = None,
    target: Annotated[float | None, typer.Option(help="Classes whose recall is below it are weak.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the request here, for `generate --request`; - writes it to stdout."),
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Propose images for the classes that a classifier tells badly; queues nothing."""
    from service.cli_remote import doing

    judged = judged_of(recalls or [], matrix, other_classes or [], target)
    doing.top_up(Options(url, key, as_json), named, judged, out)


def status(
    named: Annotated[
        str | None, typer.Argument(metavar="ID", help="The service itself when left out.", autocompletion=ids())
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show how something stands, or the service and its latest jobs."""
    from service.cli_remote import doing

    doing.status(Options(url, key, as_json), named)


def watch(named: Anything, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Follow work to its end; the exit code says how it ended."""
    from service.cli_remote import doing

    doing.watch(Options(url, key, as_json), named)


def report(
    named: Anything,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="To a file: .html, .csv or .json.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show the figures of what has ended, or write the report to a file."""
    from service.cli_remote import doing

    doing.report(Options(url, key, as_json), named, out)


def download(
    named: Anything,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A file or folder; here when left out.")] = None,
    layout: Annotated[
        str | None, typer.Option("--format", help="imagefolder, coco, anomalib or huggingface; of a generation.")
    ] = None,
    include_real: Annotated[bool, typer.Option("--include-real", help="The real train images, too.")] = False,
    include_rejected: Annotated[
        bool, typer.Option("--include-rejected", help="What somebody rejected on the page, too.")
    ] = False,
    normal_class: Annotated[
        str | None,
        typer.Option(help="Of anomalib: the data set's class without a defect; its real train images come along."),
    ] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Download a generation's images, or an adapter, as a zip; goes on where it broke off."""
    from service.cli_remote import doing

    doing.download(
        Options(url, key, as_json), named, out, layout,
        include_real=include_real, include_rejected=include_rejected, normal_class=normal_class,
    )  # fmt: skip


def cancel(named: Anything, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Stop a job, or every job of a resource."""
    from service.cli_remote import undoing

    undoing.cancel(Options(url, key, as_json), named)


def delete(
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="ID", help="Data sets, adaptations, adapters, generations, evaluations or recognitions.",
            autocompletion=ids("recognitions", "evaluations", "generations", "adapters", "adaptations", "datasets"),
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Delete what was uploaded or made, after asking; what something else still needs stays."""
    from service.cli_remote import undoing

    undoing.delete(Options(url, key, as_json), named, yes)
