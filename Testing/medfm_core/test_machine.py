"""Cores and memory, with control groups of both versions laid out in a folder."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from medfm_core import machine

GB = 10**9


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Write files of /proc and /sys/fs/cgroup under a folder: `fake({"proc/self/cgroup": "..."})`."""
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def fake(files):
        files.setdefault("proc/meminfo", "MemTotal: 16000000 kB\nMemFree: 1000000 kB\nMemAvailable: 9000000 kB\n")
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(str(text))

    return fake


def test_real_machine():
    assert 1 <= machine.usable_cores() <= (os.cpu_count() or 1)
    found = machine.memory()
    assert 0 < found.free <= found.total
    assert found.limit in ("machine", "container")


def test_peak_memory_sees_an_allocation():
    code = "from medfm_core.machine import peak_memory as p; a = p(); b = bytearray(60_000_000); print(p() - a)"
    grown = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 50_000_000 < grown < 120_000_000


def test_no_control_groups(fake):
    fake({})
    assert machine.usable_cores() == 8
    assert machine.memory() == machine.Memory(16_000_000 * 1024, 9_000_000 * 1024, "machine")


def test_version_2(fake):
    fake(
        {
            "proc/self/cgroup": "0::/a/b\n",
            "cgroup/a/b/memory.max": "max",
            "cgroup/a/b/memory.current": 2 * GB,
            "cgroup/a/memory.max": 4 * GB,
            "cgroup/a/memory.current": 3 * GB,
            "cgroup/a/memory.stat": f"anon 5\ninactive_file {GB // 2}\n",
            "cgroup/a/b/cpu.max": "max 100000",
            "cgroup/a/cpu.max": "250000 100000",
        }
    )
    assert machine.memory() == machine.Memory(4 * GB, 3 * GB // 2, "container")
    assert machine.usable_cores() == 2


def test_version_2_seen_from_inside_a_container(fake):
    """The path is the host's, the folder is the container's own: only the root of the mount exists."""
    fake(
        {
            "proc/self/cgroup": "0::/docker/0123\n",
            "cgroup/memory.max": 2 * GB,
            "cgroup/memory.current": GB,
            "cgroup/cpu.max": "50000 100000",
        }
    )
    assert machine.memory() == machine.Memory(2 * GB, GB, "container")
    assert machine.usable_cores() == 1


def test_version_1(fake):
    fake(
        {
            "proc/self/cgroup": "4:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/\n0::/\n",
            "cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
            "cgroup/memory/memory.usage_in_bytes": 9 * GB,
            "cgroup/memory/job/memory.limit_in_bytes": 3 * GB,
            "cgroup/memory/job/memory.usage_in_bytes": 5 * GB,
            "cgroup/cpu/job/cpu.cfs_quota_us": 300000,
            "cgroup/cpu/job/cpu.cfs_period_us": 100000,
        }
    )
    assert machine.memory() == machine.Memory(3 * GB, 0, "container")
    assert machine.usable_cores() == 3


def test_unlimited_quota_and_nonsense(fake):
    fake(
        {
            "proc/self/cgroup": "3:cpu:/\n4:memory:/\n",
            "cgroup/cpu/cpu.cfs_quota_us": -1,
            "cgroup/cpu/cpu.cfs_period_us": 100000,
            "cgroup/memory/memory.limit_in_bytes": "what",
        }
    )
    assert machine.usable_cores() == 8
    assert machine.memory().limit == "machine"


def test_devices_begin_with_the_cpu():
    pytest.importorskip("torch")
    cpu = machine.devices()[0]
    assert cpu.name == "cpu"
    assert cpu.free <= cpu.total


def test_import_is_light():
    code = "import sys, medfm_core.machine, medfm_core.doctor, medfm_core.progress; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", np.__name__, "rich", "pydicom"} & set(loaded)
