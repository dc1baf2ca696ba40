"""The command line, ``defectsynth``.

Every image installs it, and none has all packages: what a command needs is imported when the command runs.
"""

import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from service import cli_keys
from service.cli_remote import commands
from service.registry import BUNDLED_MODEL
from service.settings import Settings

app = typer.Typer(
    name="defectsynth",
    help="On-demand defect synthesis: adapt Stable Diffusion to a few real images, then make more of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.add_typer(cli_keys.app, name="keys")
commands.add_to(app)
_PR_SET_PDEATHSIG = 1
_CTRL_C = 130
Host = Annotated[str | None, typer.Option(help="Address to listen on; else DEFECTSYNTH_HOST, else 127.0.0.1.")]
Port = Annotated[int | None, typer.Option(min=0, max=65_535, help="Else DEFECTSYNTH_PORT, else 8000; 0: a free one.")]
_START_FAILED = 3


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    end_with_parent: Annotated[bool, typer.Option("--end-with-parent", hidden=True)] = False,
) -> None:
    """Run everything in one command: API, worker and sweep, on 127.0.0.1:8000 unless told otherwise."""
    with _kept_for_good():
        from service.embedded import CannotServe
        from service.embedded import serve as run_embedded

    if end_with_parent:
        _end_with_parent()
    try:
        run_embedded(_settings(host, port))
    except (CannotServe, ValueError) as error:
        _fail(str(error))


@app.command()
def api(host: Host = None, port: Port = None) -> None:
    """Run the HTTP API alone; workers are processes of their own."""
    with _kept_for_good():
        from service.logs import configure_logs
        from service.main import create_app
        from service.serving import server_of

    settings = _settings(host, port)
    configure_logs(settings.log_level)
    try:
        application = create_app(settings)
    except ValueError as error:
        _fail(str(error))
    server = server_of(application, host=settings.host, port=settings.port)
    with suppress(KeyboardInterrupt):  # Ctrl-C, raised once more when all is shut down.
        server.run()
    if not server.started:
        raise typer.Exit(_START_FAILED)


@app.command()
def worker(
    maintenance: Annotated[
        bool, typer.Option("--maintenance", help="The sweep instead: no torch, no jobs, one is enough.")
    ] = False,
) -> None:
    """Run a worker, which does the jobs."""
    module = "worker.maintenance" if maintenance else "worker"
    # In this process's place: signals and exit status are the worker's own, and this room imports nothing of it.
    os.execv(sys.executable, [sys.executable, "-m", module])


@app.command()
def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="A folder with one sub-folder of images a class; drawn samples when left out."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where images, contact sheets and the report go.")] = Path("demo-output"),
    images: Annotated[int, typer.Option(min=1, help="Images to make of each class.")] = 24,
    base_model: Annotated[str, typer.Option(help="A registered base model.")] = BUNDLED_MODEL,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the service's own data folder afterwards.")] = False,
) -> None:
    """Adapt and generate over HTTP, with a service started for it alone, and show what came out."""
    try:
        from service.demo.failure import DemoFailed
        from service.demo.walk import Plan, walk
    except ModuleNotFoundError as error:
        _fail(f"The demo needs {error.name}, which is not installed. Install the extras: pip install '.[api,worker]'")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        complete = walk(Plan(data, out, images, base_model, keep), _settings(), Console())
    except DemoFailed as failure:
        _fail(str(failure))
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped; the demo's service was ended.")
        raise typer.Exit(_CTRL_C) from None
    raise typer.Exit(0 if complete else 1)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Look for what would stop the service here, and say how to mend it."""
    from service.doctor import Verdict, examine, table

    findings = examine(_settings())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        Console().print(table(findings))
    raise typer.Exit(1 if any(finding.verdict is Verdict.WRONG for finding in findings) else 0)


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="The archive to write; it must not be there yet.")]) -> None:
    """Write the record and every stored file to one archive, while the service runs."""
    from service.backup.commands import run_backup
    from service.backup.format import BackupError

    try:
        run_backup(file, _settings(), Console())
    except BackupError as error:
        _fail(str(error))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="An archive of `defectsynth backup`.")],
    replace: Annotated[bool, typer.Option("--replace", help="Lose what is in the database now.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Only look whether the archive is whole.")] = False,
) -> None:
    """Put a backup into the database and the store of the settings; stop the service first."""
    from service.backup.commands import run_restore, run_verify
    from service.backup.format import BackupError

    try:
        if verify:
            run_verify(file, Console())
        else:
            run_restore(file, _settings(), Console(), replace=replace)
    except BackupError as error:
        _fail(str(error))


@contextmanager
def _kept_for_good() -> Iterator[None]:
    """For imports: what they make stays, and looking through it for garbage again and again takes a tenth of the
    start, and time of requests later."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def _settings(host: str | None = None, port: int | None = None) -> Settings:
    """From the environment and the command line; one that cannot be used ends the command with what to change."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        _fail("; ".join(_told(one["loc"], one["msg"]) for one in error.errors()))


def _told(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"DEFECTSYNTH_{str(location[0]).upper()}: {message}" if location else message


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """SIGTERM when the parent dies, however it does; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


if __name__ == "__main__":
    app()
