"""What this machine offers to this process: cores, memory, devices.

Containers are taken into account: a control group's limits count where they are below the machine's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """Main memory in bytes; `limit` says whether "machine" or "container" sets it.

    `free` is what can be taken without swapping. Where the system does not tell, it is half of `total`.
    """

    total: int
    free: int
    limit: str = "machine"


@dataclass(frozen=True)
class Device:
    """A device that torch can compute on; memory in bytes, None where it is the machine's own."""

    name: str
    title: str
    total: int | None = None
    free: int | None = None


def usable_cores() -> int:
    """CPU cores that this process may use: affinity and a container's CPU quota, at least 1."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    for folder in _control_groups("cpu"):
        quota = _quota(folder)
        if quota is not None:
            cores = min(cores, max(1, round(quota)))
    return cores


def memory() -> Memory:
    """Main memory that this process may use."""
    found = _machine_memory()
    for folder in _control_groups("memory"):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current")
        if used is None:
            used = _number(folder / "memory.usage_in_bytes")
        if limit is None or used is None or limit >= found.total:
            continue
        free = max(0, min(found.free, limit - used + _reclaimable(folder)))
        found = Memory(limit, free, "container")
    return found


def peak_memory() -> int | None:
    """Largest resident memory of this process so far, in bytes; None where the system does not tell.

    Linux is asked for its VmHWM: what getrusage says there includes the parent's memory at the time of the fork.
    """
    with suppress(OSError, ValueError, IndexError):
        for line in (_PROC / "self" / "status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return _windows_peak()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def devices() -> tuple[Device, ...]:
    """The devices that torch can compute on, the CPU first. Imports torch."""
    import torch

    ours = memory()
    found = [Device("cpu", f"{usable_cores()} cores", ours.total, ours.free)]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            found.append(Device(f"cuda:{index}", torch.cuda.get_device_name(index), total, free))
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU"))
    return tuple(found)


def _machine_memory() -> Memory:
    with suppress(OSError, ValueError, IndexError):
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
        values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return Memory(values["MemTotal"], values.get("MemAvailable", values["MemFree"]))
    if sys.platform == "win32":
        return _windows_memory()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Memory(total, total // 2)


def _control_groups(controller: str) -> Iterator[Path]:
    """This process's control group for a controller and all its ancestors, of version 2 or 1."""
    try:
        lines = (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, names, path = line.split(":", 2)
        if number == "0":
            unified = _CGROUP / "unified"
            root = unified if unified.is_dir() else _CGROUP
        elif controller in names.split(","):
            root = _CGROUP / controller
        else:
            continue
        folder = root / path.strip("/")
        yield folder
        while folder != root and root in folder.parents:
            folder = folder.parent
            yield folder


def _quota(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return None


def _reclaimable(folder: Path) -> int:
    """File cache that the kernel gives back under pressure; it counts as used, but is free for us."""
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines():
            if line.startswith(("inactive_file ", "total_inactive_file ")):
                return int(line.split()[1])
    return 0


def _windows_memory() -> Memory:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
        )

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return Memory(status.total, status.free)


def _windows_peak() -> int | None:
    import ctypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("faults", ctypes.c_ulong),
            ("peak", ctypes.c_size_t),
            *((name, ctypes.c_size_t) for name in "abcdefg"),
        )

    with suppress(AttributeError, OSError):
        kernel = ctypes.windll.kernel32
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        counters = Counters(length=ctypes.sizeof(Counters))
        call = kernel.K32GetProcessMemoryInfo
        call.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong)
        return counters.peak if call(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.length) else None
    return None
