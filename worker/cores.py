"""How many cores a working process may compute on."""

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """The cores that this process may run on, or fewer where its container's quota (``--cpus``) is less.

    torch sees the first and not the second: with a thread for each core of a large machine and a quota of two, all of
    them together are stopped again and again.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(allowed, _quota(cgroup)))


def _quota(cgroup: Path) -> float:
    """Cores' worth of time that the cgroup (version 2) may take; infinite where nothing limits it."""
    try:
        limit, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        return int(limit) / int(period)
    except (OSError, ValueError):  # no cgroup here, or "max"
        return math.inf
