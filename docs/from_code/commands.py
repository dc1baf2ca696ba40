"""Every command and option, of the command line itself."""

from collections.abc import Iterator
from typing import Any

import typer

from service.cli import app
from service.cli_remote.ending import ExitCode

_INTRODUCTION = """\
# Command line

`defectsynth COMMAND --help` says the same. `--install-completion` has your shell complete commands and ids.

Commands that talk to a running service take its address from `--url` or `DEFECTSYNTH_URL`, and a key from
`DEFECTSYNTH_API_KEY`. With `--json` they give one JSON document on stdout, also of an error
(`{"error": {"code", "message", "remedy", ...}}`). Bars and hints go to stderr, and only to a terminal.
"""
_MEANINGS = {
    ExitCode.FINE: "done",
    ExitCode.FAILED: "the work failed, was canceled or left no image, or a file cannot be read or written",
    ExitCode.USAGE: "wrong usage",
    ExitCode.UNREACHABLE: "the service cannot be reached",
    ExitCode.REFUSED: "the service refuses: the key, an unknown id, a request that must be changed, a limit",
    ExitCode.SERVICE_FAILED: "the service has trouble of its own",
    ExitCode.INTERRUPTED: "Ctrl-C; the work goes on",
}


def page() -> str:
    """All of it, with what the exit codes mean."""
    group: Any = typer.main.get_command(app)
    lines = [_INTRODUCTION, "## Exit codes", "", "| code | meaning |", "|---|---|", *_exit_codes(), ""]
    for name, command in _commands(group, "defectsynth"):
        lines += _command(name, command)
    return "\n".join(lines)


def _exit_codes() -> Iterator[str]:
    for code in ExitCode:
        yield f"| {code.value} | {_MEANINGS[code]} |"


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {word}")
        elif not command.hidden:
            yield f"{name} {word}", command


def _command(name: str, command: Any) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    yield from (f"## {name}", "", command.help, "")
    yield from ("```", " ".join([name, *command.collect_usage_pieces(context)]), "```", "")
    told = [one.get_help_record(context) for one in command.get_params(context)]
    if rows := [record for record in told if record and not record[0].startswith("--help")]:
        yield from ("| argument or option | |", "|---|---|")
        yield from (f"| `{_cell(names)}` | {_cell(text)} |" for names, text in rows)
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" in text else text.replace("|", "\\|")
