"""What the C library does with memory that tensors give back.

A training step takes and gives back hundreds of MB. By default glibc returns much of it to Linux, which clears every
page anew when it is asked for again: 5 to 30 % of a step on a CPU, more on a busy machine.
"""

from __future__ import annotations

import ctypes
import os
import platform

# Numbers of the parameters of mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MAPPED_FROM = 2**25
"""Bytes from which memory is mapped and returned: glibc's own limit, as its heap would come to hold large holes."""
ASKED_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed() -> bool:
    """Let this process keep memory that is freed, for what it needs next; returns whether that was possible.

    Nothing is done with another C library than glibc, or where the environment sets its allocator.
    """
    library = _glibc()
    if library is None or any(name in os.environ for name in ASKED_BY_USER):
        return False
    return bool(library.mallopt(M_MMAP_THRESHOLD, MAPPED_FROM) and library.mallopt(M_TRIM_THRESHOLD, -1))


def give_back() -> None:
    """Return to the system what is freed and kept, so that the memory of a process tells what it uses."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
