"""Leftovers of killed processes go; what somebody still works on stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medfm_core.io import parts
from medfm_core.io.atomic import atomic_write
from medfm_core.io.parts import part_name, sweep_parts

DAY_S = 24 * 3600


def name_of(process: int, name: str = "", machine: str | None = None) -> str:
    """The part's name that another process would give."""
    fields = part_name(name).split("-", 4)
    fields[2] = str(process)
    fields[1] = machine or fields[1]
    return "-".join(fields)


def made(folder: Path, name: str, age_s: float = 0.0) -> Path:
    path = folder / name
    path.mkdir()
    (path / "half.bin").write_bytes(b"x")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


@pytest.fixture(scope="module")
def dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def alive():
    """A process that started just now."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process.pid
    process.kill()
    process.wait()


def test_names_are_never_given_twice_and_end_like_what_they_become():
    names = {part_name("scan.nii.gz") for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".part-") and name.endswith("-scan.nii.gz") for name in names)
    assert str(os.getpid()) in part_name().split("-")


def test_parts_of_dead_processes_go_at_once_and_those_of_living_ones_stay(tmp_path, dead, alive):
    gone = [made(tmp_path, name_of(dead, "patient_1")), made(tmp_path, name_of(dead))]
    file = tmp_path / name_of(dead, "cohort.csv")
    file.write_text("half")
    kept = [made(tmp_path, name_of(alive, "patient_2")), made(tmp_path, part_name()), made(tmp_path, "patient_3")]
    assert sweep_parts(tmp_path) == 3
    assert not any(path.exists() for path in (*gone, file))
    assert all((path / "half.bin").exists() for path in kept)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not tell when a process started")
def test_a_number_that_was_given_again_protects_nothing(tmp_path, alive):
    """A part that is older than the process that has its number is of another one."""
    old, young = made(tmp_path, name_of(alive, "old"), age_s=3600), made(tmp_path, name_of(alive, "young"))
    ours = made(tmp_path, part_name("ours"), age_s=DAY_S)
    assert sweep_parts(tmp_path) == 2
    assert young.exists()
    assert not old.exists()
    assert not ours.exists()


def test_another_machine_and_unknown_names_have_a_day(tmp_path, dead):
    names = [name_of(dead, machine="0" * 8), ".part-123", ".part-0123456789ab-patient_7"]
    kept = [made(tmp_path, name) for name in names]
    gone = [made(tmp_path, f"{name}-b", age_s=DAY_S + 60) for name in names]
    assert sweep_parts(tmp_path) == 3
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)


def test_without_start_times_a_living_number_protects_for_a_day(tmp_path, alive, monkeypatch):
    monkeypatch.setattr(parts, "_start_time", lambda process: None)
    young, old = made(tmp_path, name_of(alive), age_s=3600), made(tmp_path, name_of(alive), age_s=DAY_S + 60)
    assert sweep_parts(tmp_path) == 1
    assert young.exists()
    assert not old.exists()


def test_a_link_is_removed_and_not_followed(tmp_path, dead):
    outside = made(tmp_path, "outside")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / name_of(dead)).symlink_to(outside)
    assert sweep_parts(inside) == 1
    assert (outside / "half.bin").exists()


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert sweep_parts(tmp_path / "none") == 0
    assert sweep_parts(tmp_path / "none", "??") == 0


def test_a_file_in_work_by_this_process_is_left_alone(tmp_path):
    with atomic_write(tmp_path / "a.csv") as part:
        part.write_text("half")
        assert sweep_parts(tmp_path) == 0
    assert (tmp_path / "a.csv").read_text() == "half"
