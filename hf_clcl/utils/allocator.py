"""`keep_freed()` of version 0.1, for one release; docs/devices.md names the variables of glibc that replace it."""

from __future__ import annotations

import ctypes
import os
import platform
import warnings

# Parameter numbers of mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MAPPED_FROM = 2**25
VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed() -> bool:
    """Let this process keep freed memory for later allocations.

    Returns:
        `bool`: Whether it was possible: not without glibc, nor where the environment configures the allocator.
    """
    warnings.warn(
        f"keep_freed() will be removed; set MALLOC_TRIM_THRESHOLD_=-1 and MALLOC_MMAP_THRESHOLD_={MAPPED_FROM}",
        DeprecationWarning,
        stacklevel=2,
    )
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in VARIABLES):
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(M_MMAP_THRESHOLD, MAPPED_FROM) and library.mallopt(M_TRIM_THRESHOLD, -1))
