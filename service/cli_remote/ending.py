"""How a remote command ends: the exit codes, and what is said where something went wrong."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer
from rich.console import Console

from defectsynth_client import (
    AnswerUnreadable,
    ApiError,
    DefectsynthError,
    ServiceFailed,
    Unreachable,
    WaitedTooLong,
    WorkFailed,
)
from defectsynth_client.connection import DEFAULT_URL
from service.cli_remote.misuse import error_document
from service.cli_remote.options import Options


class ExitCode(IntEnum):
    """What a script can tell by. 2, wrong usage, is the command line's own."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    SERVICE_FAILED = 5
    INTERRUPTED = 130


@contextmanager
def told_well(options: Options) -> Iterator[None]:
    """Whatever goes wrong inside ends the command with its code, in a sentence and without a traceback."""
    try:
        yield
    except DefectsynthError as error:
        _end(code_of(error), error, _remedy(error, options.url or DEFAULT_URL), options.as_json)
    except (ValueError, TypeError) as error:
        _end(ExitCode.USAGE, error, "", options.as_json)
    except OSError as error:
        remedy = "See that the file is there and may be used, and that the disk has room."
        _end(ExitCode.FAILED, error, remedy, options.as_json)


def code_of(error: DefectsynthError) -> ExitCode:
    """The exit code of what the client raises."""
    if isinstance(error, Unreachable):
        return ExitCode.UNREACHABLE
    if isinstance(error, ServiceFailed | AnswerUnreadable):
        return ExitCode.SERVICE_FAILED
    return ExitCode.REFUSED if isinstance(error, ApiError) else ExitCode.FAILED


def _remedy(error: DefectsynthError, url: str) -> str:
    if isinstance(error, Unreachable):
        return (
            f"Does the service run at {url} (--url, DEFECTSYNTH_URL)? `defectsynth serve` starts one on this machine."
        )
    if isinstance(error, WaitedTooLong | WorkFailed):
        return ""
    if isinstance(error, ApiError) and error.status == 401:
        return "Give your key as DEFECTSYNTH_API_KEY, or with --key."
    return ""


def _end(code: ExitCode, error: Exception, remedy: str, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({"error": _document(error, remedy)}, indent=2))
        raise typer.Exit(code)
    console = Console(stderr=True)
    console.print(f"[bold red]✗[/] {_escaped(str(error))}", highlight=False, soft_wrap=True)
    if isinstance(error, ApiError):
        for one in error.refused:
            console.print(f"  {_escaped(f'{one.filename}: {one.reason}. {one.remedy}')}", highlight=False)
    if remedy:
        console.print(f"  {_escaped(remedy)}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _document(error: Exception, remedy: str) -> dict[str, object]:
    if isinstance(error, ApiError):
        return {
            "code": error.code, "message": error.detail, "field": error.field, "remedy": error.remedy or remedy,
            "status": error.status, "request_id": error.request_id,
            "refused": [one.model_dump(mode="json") for one in error.refused],
        }  # fmt: skip
    code = {Unreachable: "unreachable", WorkFailed: "work_failed", WaitedTooLong: "waited_too_long"}.get(type(error))
    code = code or ("answer_unreadable" if isinstance(error, AnswerUnreadable) else "command_failed")
    return error_document(code, str(error), remedy or None)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
