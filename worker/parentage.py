"""No process outlives the one it works for: on Linux the kernel sees to it."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(with_signal: signal.Signals, parent_pid: int | None = None) -> None:
    """Get ``with_signal`` when the parent dies. ``parent_pid``: who it must be; one that died already counts too."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(with_signal))
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), with_signal)
