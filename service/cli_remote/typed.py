"""From what a person typed to what is asked for. Whatever cannot be read ends the command as wrong usage."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import typer

from service.errors import InvalidRequest
from service.web.pasting import judged


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


@dataclass(frozen=True)
class Judged:
    """What a person says of a classifier of their own: by the client's names, and the words that say it again."""

    said: Mapping[str, Any]
    words: Sequence[str]


def judged_of(
    recalls: Sequence[str], matrix: Path | None, other_classes: Sequence[str], target: float | None
) -> Judged:
    """``--recall`` and ``--matrix``, ``--other-class`` and ``--target``; what is typed goes before the file's."""
    said = _matrix_of(matrix) if matrix is not None else {}
    if recalls:
        said["recall_by_class"] = dict(_share_of(one) for one in recalls)
    if other_classes:
        said["other_classes"] = list(other_classes)
    if target is not None:
        said["target_recall"] = target
    words = [word for one in recalls for word in ("--recall", one)]
    words += ["--matrix", str(matrix)] if matrix is not None else []
    words += [word for one in other_classes for word in ("--other-class", one)]
    return Judged(said, [*words, *(("--target", str(target)) if target is not None else ())])


def _matrix_of(file: Path) -> dict[str, Any]:
    """``--matrix``: what the page takes when it is pasted."""
    try:
        # A spreadsheet's CSV begins with a byte order mark.
        return judged(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--matrix: {error}") from error
    except InvalidRequest as error:
        raise typer.BadParameter(f"--matrix {file}: {error.detail}. {error.remedy}") from error


def _share_of(told: str) -> tuple[str, float]:
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
