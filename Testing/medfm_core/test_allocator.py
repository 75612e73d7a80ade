"""Freed blocks: kept for reuse, handed back on demand, and never against the user's own settings."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from medfm_core.allocator import keep_freed_blocks, release
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
kept = keep_freed_blocks()
before = resident()
blocks = [np.ones(2**24, np.float32) for _ in range(4)]
full = resident() - before
del blocks
freed = resident() - before
release()
print(kept, full, freed, resident() - before)
"""
GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: nothing is changed")


def megabytes(**settings):
    """What a process holds with four blocks of 64 MiB, after it has freed them, and after `release`."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("GLIBC_TUNABLES", "LD_PRELOAD")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=inherited | settings, check=True, capture_output=True, text=True
    )
    kept, *sizes = done.stdout.split()
    return kept == "True", *map(float, sizes)


@GLIBC
def test_freed_blocks_stay_until_they_are_released():
    kept, full, freed, released = megabytes()
    assert kept
    assert full > 250
    assert freed > 250
    assert released < 20


@GLIBC
@pytest.mark.parametrize("name", ["GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_"])
def test_settings_of_the_user_are_left_alone(name):
    kept, full, freed, _ = megabytes(**{name: "" if name == "GLIBC_TUNABLES" else "131072"})
    assert not kept
    assert full > 250
    assert freed < 20


def test_another_c_library_is_left_alone(monkeypatch):
    from medfm_core import allocator

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("no library may be opened"))
    assert not allocator.keep_freed_blocks()
    allocator.release()
