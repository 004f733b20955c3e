"""The most memory that a piece of work takes, of this process and of its accelerator."""

import contextlib
import resource
import sys
from pathlib import Path

import torch

MIB = 2**20
_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class PeakMemory:
    """Counts from when it is made; where the system cannot begin anew (all but Linux), from the process's start."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            _REFS.write_text("5")  # the peak becomes what is held now
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    @property
    def mebibytes(self) -> float:
        """Resident memory of the process, and what torch had of the accelerator beside it."""
        own = _peak_of_process()
        return (own + (torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)) / MIB


def _peak_of_process() -> int:
    """Bytes."""
    try:
        lines = _STATUS.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
