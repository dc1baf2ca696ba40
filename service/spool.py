"""kombu's filesystem transport with messages that appear whole.

The stock transport opens a message under its final name, then writes it: a receiver that looks in between reads
nothing and dies of it. Here the file is written under a name that no receiver looks for, and renamed. Taken messages
are moved within the folder, so that a full or separate ``/tmp`` loses none.
"""

import json
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem


class Channel(filesystem.Channel):
    """Messages are files named ``<time>_<unique>.<queue>.msg``, the oldest first."""

    # kombu's own classes disagree on the name of the second argument.
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}"
        folder = Path(self.data_folder_out)
        unfinished = folder / f"{name}.part"
        try:
            unfinished.write_text(json.dumps(payload), encoding="utf-8")
            unfinished.replace(folder / f"{name}.{queue}.msg")
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise ChannelError(f"cannot write a message in {folder}: {error}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for message in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            taken = message.with_suffix(".taken")
            try:
                message.rename(taken)
                text = taken.read_text(encoding="utf-8")
                taken.unlink()
                return json.loads(text)
            except (OSError, ValueError):  # Another receiver was faster, or the disk damaged it: the sweep sends again.
                continue
        raise Empty


class Transport(filesystem.Transport):
    """The transport that `service.broker.FILE_TRANSPORT` names."""

    Channel = Channel
