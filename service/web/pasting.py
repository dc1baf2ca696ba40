"""What a person pastes of a classifier's mistakes, CSV or JSON, as the fields that a top-up's request takes."""

import csv
import json
from collections.abc import Sequence
from typing import Final

from service.errors import InvalidRequest

_OWN_NAMES: Final = frozenset({"classes", "confusion_matrix", "recall_by_class", "other_classes", "target_recall"})


def judged(text: str) -> dict[str, object]:
    """Recalls, or classes and their confusion matrix, by the request's names. Raises ``InvalidRequest``."""
    return _of_json(text) if text.lstrip().startswith(("{", "[")) else _of_table(text)


def _of_json(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _refused(f"this is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise _refused("the classes are not named")
    if found.keys() <= _OWN_NAMES:
        return found
    return {"recall_by_class": {name: _share(str(one)) for name, one in found.items()}}


def _of_table(text: str) -> dict[str, object]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=_delimiter(text))]
    rows = [row for row in rows if any(row)]
    if not rows:
        raise _refused("there is nothing in it")
    if all(len(row) == 2 for row in rows):
        listed = rows if _number(rows[0][1]) is not None else rows[1:]
        if listed:
            return {"recall_by_class": {name: _share(cell) for name, cell in listed}}
    if len(rows) < 2 or len(rows[0]) < 2:
        raise _refused("there is neither a matrix nor a list of recalls in it")
    return _of_matrix(rows[0][1:], rows[1:])


def _delimiter(text: str) -> str:
    """A spreadsheet's clipboard has tabs; a CSV file has semicolons where a comma is the decimal point."""
    return next((one for one in ("\t", ";") if one in text), ",")


def _of_matrix(classes: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, object]:
    named = [row[0] for row in rows]
    if named != list(classes):
        raise _refused(f"the columns are {', '.join(classes)}, and the rows {', '.join(named)}")
    return {"classes": named, "confusion_matrix": [[_count(cell) for cell in row[1:]] for row in rows]}


def _number(cell: str) -> float | None:
    try:
        value = float(cell.removesuffix("%").strip().replace(",", "."))
    except ValueError:
        return None
    return value / 100 if cell.endswith("%") else value


def _share(cell: str) -> float:
    value = _number(cell)
    if value is None or not 0 <= value <= 1:
        raise _refused(f"{cell!r} is no recall, which is from 0 to 1, or from 0 % to 100 %")
    return value


def _count(cell: str) -> int:
    if not cell.isdecimal():
        raise _refused(f"{cell!r} is no number of images")
    return int(cell)


def _refused(detail: str) -> InvalidRequest:
    return InvalidRequest(
        detail,
        field="judged",
        remedy="Paste a matrix with the classes in its first row and first column, in one order, or two columns: class "
        'and recall. As JSON: {"pits": 0.85}, or {"classes": [...], "confusion_matrix": [[...]]}.',
    )
