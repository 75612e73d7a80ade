"""`medfm batch` as a user runs it: real CTs and a DICOM series, the shipped weights, two broken files, one kill."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from worker_pipe import ROOT, descendants, is_alive, wait_until

SCRIPT = ROOT / "MedFMExtension" / "MedFM" / "Scripts" / "medfm_batch.py"
SFORM = 280  # bytes of a NIfTI header before the three rows of its position
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
]


@pytest.fixture
def cohort(real_data, tmp_path):
    """Two small CTs, a DICOM series, a file that is cut off and one whose position is no number."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("abdopelvis_TSexample", "aorta_dissection_TS"):
        shutil.copy(real_data / "ct" / f"{name}.nii.gz", folder)
    shutil.copytree(real_data / "dicom" / "abdomen_series", folder / "abdomen_series")
    whole = (folder / "aorta_dissection_TS.nii.gz").read_bytes()
    (folder / "cut_off.nii.gz").write_bytes(whole[: len(whole) // 2])
    plain = bytearray(gzip.decompress(whole))
    plain[SFORM : SFORM + 48] = struct.pack("<12f", *[np.nan] * 12)
    plain[252:256] = struct.pack("<2h", 0, 1)  # no qform, and a sform that counts
    (folder / "nowhere.nii.gz").write_bytes(gzip.compress(bytes(plain), 1))
    return folder


def in_the_middle_of_the_second_case(line, state):
    """Whether a line of `--json` says so; `state` keeps how many cases are done."""
    event = json.loads(line)
    state["done"] += event["event"] == "case"
    return state["done"] == 1 and event["event"] == "stage" and event["name"] == "Cases" and event["done"] > 100


def test_killed_in_the_middle_of_a_case_and_gone_on_with(cohort, real_data, tmp_path):
    out = tmp_path / "results"
    process = subprocess.Popen(
        [sys.executable, "-m", "medfm_core.cli", "batch", str(cohort), "--out", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        start_new_session=True,
    )
    state = {"done": 0}
    assert any(in_the_middle_of_the_second_case(line, state) for line in process.stdout)
    below = descendants(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not any(map(is_alive, below)))

    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--", str(cohort), "--output", str(out)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "3 of 5 cases done (1 of them before), 2 failed" in done.stdout
    assert not [entry.name for entry in out.iterdir() if entry.name.startswith(".part")]
    with (out / "cohort.csv").open(encoding="utf-8", newline="") as stream:
        table = {row["case"]: row for row in csv.DictReader(stream)}
    assert {name: row["state"] for name, row in table.items()} == {
        "abdopelvis_TSexample": "done", "aorta_dissection_TS": "done", "abdomen_series": "done", "cut_off": "failed",
        "nowhere": "failed",
    }  # fmt: skip
    assert "is cut off" in table["cut_off"]["error"]
    assert "no usable position" in table["nowhere"]["error"]
    assert "short_scan" in table["abdomen_series"]["warnings"]
    drawn = nibabel.load(real_data / "ct" / "abdopelvis_TSexample_organs.nii.gz")
    names = json.loads((real_data / "ct" / "abdopelvis_TSexample_organs.json").read_text())["labels"]
    value = next(int(number) for number, name in names.items() if name == "liver")
    millilitres = (np.asarray(drawn.dataobj) == value).sum() * abs(np.linalg.det(drawn.affine[:3, :3])) / 1000
    assert float(table["abdopelvis_TSexample"]["liver.volume_ml"]) == pytest.approx(millilitres, rel=0.25)
    for name in ("abdopelvis_TSexample", "aorta_dissection_TS", "abdomen_series"):
        outlines = nibabel.load(out / name / "segmentation.nii.gz")
        assert np.unique(np.asarray(outlines.dataobj)).size > 5
        assert (out / name / "report.html").stat().st_size > 10_000
