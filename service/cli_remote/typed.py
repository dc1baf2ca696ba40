"""From what a person typed to what is asked for. Whatever cannot be read ends the command as wrong usage."""

import json
from pathlib import Path
from typing import Any, TextIO

import typer


def settings_of(given: str | None) -> dict[str, Any]:
    """``--settings``: JSON, or ``@file`` with it."""
    if given is None:
        return {}
    try:
        text = Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--settings: {error}") from error
    return _object(text, "--settings", '{"seed": 7}')


def request_of(stream: TextIO) -> dict[str, Any]:
    """``--request``: the JSON of a whole request."""
    try:
        text = stream.read()
    except ValueError as error:
        raise typer.BadParameter(f"--request: {error}") from error
    return _object(text, "--request", '{"adaptation_id": "adn_...", "num_images": 24}')


def _object(text: str, option: str, example: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from error
    if not isinstance(read, dict):
        raise typer.BadParameter(f"{option}: an object is wanted, such as {example}")
    return read


def share_of(told: str) -> tuple[str, float]:
    """``--recall NAME=SHARE``."""
    name, _, share = told.rpartition("=")
    try:
        return name, float(share)
    except ValueError:
        raise typer.BadParameter(f"--recall {told}: NAME=SHARE is wanted, such as pits=0.72") from None


def number_of(told: str, otherwise: int) -> tuple[str, int]:
    """``--class NAME`` or ``--class NAME=NUMBER``."""
    name, is_told, number = told.rpartition("=")
    if not is_told:
        return told, otherwise
    if not number.isdecimal():
        raise typer.BadParameter(f"--class {told}: NAME or NAME=NUMBER is wanted")
    return name, int(number)
