"""Commands whose wrong usage is one JSON document, too, where the command line says ``--json``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException


def error_document(code: str, message: str, remedy: str | None) -> dict[str, object]:
    """What is told of an error under ``--json``: of every error the same names, so that no script asks which it is."""
    return {
        "code": code, "message": message, "field": None, "remedy": remedy, "status": None, "request_id": None,
        "refused": [],
    }  # fmt: skip


class Command(TyperCommand):
    """Words that cannot be read never reach a command's own function, which keeps the promise of ``--json``."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse. Raises ``typer.Exit`` where the document has been written, else what parsing raises."""
        with _told_as_json(self.name, as_json="--json" in args):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run. Raises as ``make_context``: a command finds some words wrong only when it reads them."""
        with _told_as_json(self.name, as_json=bool(ctx.params.get("as_json"))):
            return super().invoke(ctx)


@contextmanager
def _told_as_json(name: str | None, *, as_json: bool) -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        if not as_json:
            raise
        remedy = f"See defectsynth {name} --help."
        typer.echo(json.dumps({"error": error_document("wrong_usage", error.format_message(), remedy)}, indent=2))
        raise typer.Exit(error.exit_code) from None
