"""How glibc's malloc treats large blocks: kept for the next tensor instead of handed back to the system.

A network frees and takes back the same hundreds of megabytes in every block. By default each of these blocks is a
mapping of its own, which the kernel hands out in zeroed pages of 4 KiB, one fault each. With kept blocks the networks
of `medfm analyze` took 0.74 of the time, at 1.28 times the peak memory (`Testing/benchmarks/allocator.py`); `release`
hands it back.

Other C libraries are left as they are. Only programs that are MedFM's own call this, never an import.
"""

from __future__ import annotations

import ctypes
import os
import platform

# The parameters of `mallopt`, from glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_LARGEST_INT = 2**31 - 1
_OWN_SETTINGS = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD")


def keep_freed_blocks() -> bool:
    """Let this process keep large freed blocks for reuse.

    Returns:
        Whether it does: False where the C library is another one, or where the user has made own settings.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _OWN_SETTINGS):
        return False
    libc = ctypes.CDLL(None)
    mapped = libc.mallopt(_MMAP_THRESHOLD, 2**30) or libc.mallopt(_MMAP_MAX, 0)  # old versions refuse the first
    return bool(mapped and libc.mallopt(_TRIM_THRESHOLD, _LARGEST_INT))


def release() -> None:
    """Hand freed blocks back to the system: for a process that now waits."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
