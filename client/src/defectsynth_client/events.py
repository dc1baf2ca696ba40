"""Server-sent events of jobs, as a sink: each one is told of as it comes."""

from collections.abc import Callable, Mapping

import httpx
from pydantic import ValidationError

from defectsynth_client.models import Job

_MEDIA_TYPE = "text/event-stream"


class JobEvents:
    """Reads ``event: job`` messages for as long as ``goes_on``. Comments are heartbeats."""

    def __init__(self, tell: Callable[[Job], None], goes_on: Callable[[], bool]) -> None:
        self._tell = tell
        self._goes_on = goes_on
        self._last_id: str | None = None
        self._rest = b""
        self._fields: dict[str, str] = {}

    def headers(self) -> Mapping[str, str]:
        """Asks for what came after the last event that was seen."""
        return {"Accept": _MEDIA_TYPE, **({"Last-Event-ID": self._last_id} if self._last_id is not None else {})}

    def begin(self, answer: httpx.Response) -> bool:
        """Whether these are events at all."""
        self._rest, self._fields = b"", {}
        media_type: str = answer.headers.get("content-type", "")
        return media_type.startswith(_MEDIA_TYPE)

    def take(self, piece: bytes) -> bool:
        """Read on."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        goes_on = all(self._line(line.rstrip(b"\r").decode("utf-8", "replace")) for line in lines)
        return goes_on and self._goes_on()

    def _line(self, line: str) -> bool:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            self._fields[name] = f"{self._fields['data']}\n{value}" if name == "data" in self._fields else value
            return True
        fields, self._fields = self._fields, {}
        self._last_id = fields.get("id", self._last_id)
        return self._event(fields["data"]) if fields.get("event") == "job" and "data" in fields else True

    def _event(self, data: str) -> bool:
        try:
            job = Job.model_validate_json(data)
        except ValidationError:  # what follows the stream asks for the job itself
            return False
        self._tell(job)
        return True
