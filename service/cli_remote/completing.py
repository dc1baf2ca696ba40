"""Ids for the shell's completion: the latest of each kind, if the service answers at once."""

from collections.abc import Callable
from itertools import islice

import typer

_MOST = 20
_PATIENCE_SECONDS = 1.0
_WITH_JOBS = ("generations", "adaptations", "recognitions", "evaluations")
Completer = Callable[[typer.Context, str], list[tuple[str, str]]]


def ids(*kinds: str) -> Completer:
    """Completes ids of these lists of the client, or of all that have jobs."""

    def complete(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        try:
            return [one for kind in kinds or _WITH_JOBS for one in _latest(context, kind, incomplete)]
        except Exception:  # nothing may disturb a person who types
            return []

    return complete


def _latest(context: typer.Context, kind: str, incomplete: str) -> list[tuple[str, str]]:
    from defectsynth_client import Client, Retries

    given, quick = context.params, Retries(total_seconds=0)
    with Client(given.get("url"), given.get("key"), timeout_seconds=_PATIENCE_SECONDS, retries=quick) as client:
        listed = islice(getattr(client, kind)(), _MOST)
        return [(one.id, _told(one)) for one in listed if one.id.startswith(incomplete)]


def _told(one: object) -> str:
    words = [getattr(one, name, None) for name in ("name", "class_name", "state")]
    return " ".join(str(word) for word in words if word)
