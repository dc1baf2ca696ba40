"""What one attempt at a job may take: seconds, and memory of this process."""

import os
from dataclasses import dataclass
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class OutOfBounds(Exception):
    """The job took more than it may: it fails, for it would do so again. ``code`` and ``remedy`` are for the client."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.remedy = remedy


@dataclass(frozen=True)
class Bounds:
    """None is no bound. Looked at between steps: one that hangs is ended by `LeaseTimes.stall_seconds`."""

    max_seconds: float | None = None
    max_resident_bytes: int | None = None

    def check(self, seconds: float) -> None:
        """Raise `OutOfBounds` where the attempt took too long or the process too much memory."""
        if self.max_seconds is not None and seconds > self.max_seconds:
            raise OutOfBounds(
                "time_limit",
                f"The job ran for more than the {self.max_seconds:.0f} seconds that one attempt may take.",
                "Ask for fewer steps, trials or images, or have the operator raise DEFECTSYNTH_WORKER_MAX_JOB_SECONDS.",
            )
        if self.is_memory_exceeded():
            raise OutOfBounds(
                "memory_limit",
                f"The worker took more than the {self.max_resident_bytes} bytes of memory that it may.",
                "Ask for a smaller batch_size, or have the operator raise DEFECTSYNTH_WORKER_MAX_RESIDENT_BYTES.",
            )

    def is_memory_exceeded(self) -> bool:
        """Whether this process takes more memory than it may."""
        return self.max_resident_bytes is not None and resident_bytes() > self.max_resident_bytes


NO_BOUNDS = Bounds()


def resident_bytes() -> int:
    """This process's memory in RAM; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def machine_bytes() -> int | None:
    """The memory that processes here may take in all: the machine's, or the container's share of it; None: unknown."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None
    try:
        share = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return machine
    return min(machine, int(share)) if share.isdecimal() else machine
