import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fake_cohort import INPUT, body, make_cohort, write_manifest, write_nifti

from training.data.store import VolumeStore
from training.prepare import main


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "input.yaml").write_text(INPUT)
    return tmp_path


def prepare(folder, *more, manifest="manifest.csv", store="store"):
    command = ["--manifest", folder / manifest, "--store", folder / store, "--input", folder / "input.yaml", *more]
    return main([str(part) for part in command])


def report(folder):
    with (folder / "store" / "qc.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_cohort_is_prepared_reported_and_not_prepared_twice(folder, capsys):
    make_cohort(folder, 3)
    assert prepare(folder) == 0
    assert "3 of 3 volumes" in capsys.readouterr().out
    store = VolumeStore(folder / "store")
    lines = report(folder)
    assert [line["status"] for line in lines] == ["ok"] * 3
    assert sorted(line["key"] for line in lines) == store.keys()
    volume = store.open(lines[0]["key"])
    assert volume.has_labels
    assert set(volume.facts["statistics"]["labels"]) == {"2", "3", "5"}
    assert volume.facts["source"]["shape"] == [48, 40, 36]
    page = (folder / "store" / "qc.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert "http" not in page
    assert json.loads((folder / "store" / "prepare.json").read_text())["rows"] == {"failed": 0, "doubtful": 0, "ok": 3}
    before = {path: path.stat().st_mtime_ns for path in (folder / "store").glob("??/*/*")}
    assert prepare(folder) == 0
    assert {line["reused"] for line in report(folder)} == {"1"}
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "store").glob("??/*/*")}


def test_failing_rows_are_said_and_do_not_stop_the_others(folder, capsys):
    hu, labels = body()
    write_nifti(folder / "good.nii.gz", hu)
    write_nifti(folder / "offset.nii", hu + 1024)
    (folder / "broken.nii").write_bytes((folder / "offset.nii").read_bytes()[:5000])
    write_nifti(folder / "blank.nii", np.full_like(hu, 3))
    write_nifti(folder / "wide.nii", labels.astype(np.int32) * 100_000)
    names = ("good.nii.gz", "offset.nii", "broken.nii", "blank.nii", "wide.nii")
    rows = [{"subject": f"s{n}", "study": "a", "path": name, "modality": "CT"} for n, name in enumerate(names)]
    rows[4] |= {"path": "again.nii", "labels": "wide.nii"}
    rows.append({"subject": "s5", "study": "a", "path": "mr.nii", "modality": "MR"})
    write_nifti(folder / "again.nii", body(1)[0])
    write_nifti(folder / "mr.nii", body(2)[0])
    write_manifest(folder / "manifest.csv", rows)
    assert prepare(folder) == 1
    lines = report(folder)
    assert [line["status"] for line in lines] == ["ok", *["failed"] * 5]
    assert lines[1]["codes"] == "hu_offset"
    assert "1024 HU too high" in lines[1]["sentences"]
    assert "broken.nii" in lines[2]["sentences"]
    assert "every voxel holds 3" in lines[3]["sentences"]
    assert "label map" in lines[4]["sentences"]
    assert "takes CT, not MR" in lines[5]["sentences"]
    assert "row 3 failed:" in capsys.readouterr().err
    page = (folder / "store" / "qc.html").read_text()
    assert "1024 HU too high" in page
    assert prepare(folder, "--accept", "hu_offset") == 1
    assert [line["status"] for line in report(folder)][:3] == ["ok", "doubtful", "failed"]
    assert prepare(folder) == 1
    assert [line["status"] for line in report(folder)][:3] == ["ok", "failed", "failed"]


def test_changed_files_are_prepared_anew_and_damaged_volumes_mended(folder):
    make_cohort(folder, 3)
    prepare(folder)
    first = [line["key"] for line in report(folder)]
    write_nifti(folder / "s0.nii", body(9)[0])
    write_nifti(folder / "s1_organs.nii", body(9)[1] * 2)
    store = VolumeStore(folder / "store")
    path = store.place(first[2]) / "image.b2nd"
    path.write_bytes(path.read_bytes()[:-1])
    assert prepare(folder) == 0
    lines = report(folder)
    assert [line["reused"] for line in lines] == ["0", "0", "0"]
    assert [line["key"] == key for line, key in zip(lines, first, strict=True)] == [False, False, True]
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    assert prepare(folder, "--verify") == 0
    assert [line["reused"] for line in report(folder)] == ["1", "1", "0"]
    store.verify(first[2])


def test_processes_make_the_same_store(folder):
    make_cohort(folder, 3)
    prepare(folder)
    assert prepare(folder, "--workers", "2", store="other") == 0
    ours, theirs = ({p.relative_to(folder / name): p.read_bytes() for p in (folder / name).glob("??/*/*.b2nd")}
                    for name in ("store", "other"))  # fmt: skip
    assert ours == theirs
    assert len(ours) == 6


def test_two_data_sets_with_the_same_names_are_kept_apart(folder, capsys):
    make_cohort(folder, 3)
    prepare(folder)
    write_nifti(folder / "b" / "s0.nii", body(8)[0])
    write_nifti(folder / "b" / "s0_organs.nii", body(8)[1])
    row = {"subject": "s0", "study": "first", "path": "s0.nii", "modality": "CT", "labels": "s0_organs.nii"}
    write_manifest(folder / "b" / "manifest.csv", [row])
    assert prepare(folder, manifest="b/manifest.csv") == 2
    assert "give each data set a store of its own" in capsys.readouterr().err


def test_bad_manifests_and_commands_end_in_a_sentence(folder, capsys):
    make_cohort(folder, 3)
    assert prepare(folder, manifest="gone.csv") == 2
    assert prepare(folder, "--workers", "0") == 2
    assert prepare(folder, "--preparation", "body") == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "no manifest" in error
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "examples:" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_run_goes_on_where_it_was(folder):
    make_cohort(folder, 5)
    command = [sys.executable, "-m", "training.prepare", "--manifest", "manifest.csv", "--store", "store",
               "--input", "input.yaml"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    index, deadline = folder / "store" / "index.jsonl", time.monotonic() + 60
    while not index.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = len(VolumeStore(folder / "store").keys())
    assert stored >= 1
    assert prepare(folder) == 0
    assert sum(line["reused"] == "1" for line in report(folder)) >= stored
    assert not list((folder / "store").rglob(".part-*"))
