"""``python -m tests.fakes.wrong_clock MODULE [ARGUMENTS]``: a process of the service with a wall clock of its own.

The clock goes wrong by the seconds that the file of ``WRONG_CLOCK`` holds, and jumps when that file is replaced. It is
put where the processes' composition roots take theirs from; stopwatches (``time.monotonic``) are left alone, as they
are when an operator or NTP sets a machine's clock.
"""

import importlib
import os
import runpy
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

#: What is run, and the module whose ``datetime`` all of it asks for the time.
CLOCKS = {"service.cli": "service.main", "worker": "worker.lifecycle", "worker.maintenance": "worker.lifecycle"}
VARIABLE = "WRONG_CLOCK"


class WrongClock(datetime):
    """Tells another time than it is."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(seconds=float(Path(os.environ[VARIABLE]).read_text()))


def set_wrong(file: Path, seconds: float) -> None:
    """Have the processes that look at ``file`` believe that it is ``seconds`` later than it is."""
    aside = file.with_suffix(".new")
    aside.write_text(str(seconds))
    aside.replace(file)


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    importlib.import_module(CLOCKS[sys.argv[0]]).datetime = WrongClock  # type: ignore[attr-defined]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
