"""Seconds and peak memory of each phase of a run."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@contextmanager
def measured(phases: list[Any], phase: str, task: str | None = None) -> Iterator[dict[str, Any]]:
    """Measure a block and append it to `phases` if it ends without an error.

    Peak memory, in MB, is that of the device on CUDA and of this process otherwise. The block may set `seconds` of the
    yielded entry itself, for example to include the time before an interruption.

    Args:
        phases (`list`): Gets one entry more, a [`~hf_clcl.record.parts.Phase`].
        phase (`str`): Name of the phase.
        task (`str`, *optional*): The task that it belongs to.
    """
    entry: dict[str, Any] = {"phase": phase, "task": task, "seconds": 0.0, "peak_memory_mb": None}
    _forget_peak()
    start = time.monotonic()
    yield entry
    entry["seconds"] = round(entry["seconds"] or time.monotonic() - start, 3)
    entry["peak_memory_mb"] = round(peak_mb(), 1)
    phases.append(entry)


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR.exists():
        if hasattr(psutil, "heap_trim"):  # absent with another C library than glibc
            psutil.heap_trim()  # return freed memory to the system, which the peak would count otherwise
        try:
            CLEAR.write_text("5")  # resets VmHWM, see proc(5); psutil can neither read nor reset a peak on Linux
        except OSError:
            return  # some containers forbid it: the peak is then that of the process so far


def peak_mb() -> float:
    """Peak memory in MB since the last `_forget_peak`: of the device on CUDA, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
