"""What a job took of the machine: its device, and the most memory that the process held meanwhile."""

from contextlib import suppress
from pathlib import Path

import torch

from service.contracts.jobs import Footprint

_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: Linux: begin the process's peak of resident memory anew.
_RESET_PEAK = "5"


def begin() -> None:
    """From here on peaks are this job's."""
    with suppress(OSError):  # Then the peak is that of the process so far: too much rather than too little.
        _CLEAR_REFS.write_text(_RESET_PEAK)
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def taken(device: str) -> Footprint:
    """Since `begin`. ``device``: as torch names it."""
    on_gpu = torch.cuda.is_initialized()
    return Footprint(
        device=device_name(device),
        peak_memory_bytes=_peak_resident_bytes(),
        peak_device_memory_bytes=torch.cuda.max_memory_reserved() if on_gpu else None,
    )


def device_name(device: str) -> str:
    """Of what computes, so that seconds of different machines are told apart: ``cpu``, or the GPU's own name.

    It does not wake a GPU that nothing has used yet.
    """
    return torch.cuda.get_device_name() if device.startswith("cuda") and torch.cuda.is_initialized() else device


def _peak_resident_bytes() -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return int(peak) * 1024 if peak is not None else None
