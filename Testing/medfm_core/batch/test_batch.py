"""`medfm batch` over six scans and two broken inputs, killed and gone on with, with a real (tiny) network."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import fake_organs
import pytest
import tiny_segmenter
from worker_pipe import ROOT, descendants, is_alive, wait_until

from medfm_core.cli import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
SCRIPT = ROOT / "MedFMExtension" / "MedFM" / "Scripts" / "medfm_batch.py"
BROKEN = ("broken.nii.gz", "empty.nrrd")


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    """Six CTs that differ in one voxel each, two files that are none, and a tiny model."""
    monkeypatch.setenv("MEDFM_RESOURCES", str(tiny_segmenter.install(tmp_path / "resources")))
    monkeypatch.setenv("MEDFM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder, volume = tmp_path / "scans", fake_organs.make_ct()
    folder.mkdir()
    for number in range(6):
        voxels = volume.voxels.copy()
        voxels[0, 0, 0] = -900 - number
        fake_organs.save_ct(folder / f"ct{number}.nii.gz", volume.with_voxels(voxels))
    (folder / BROKEN[0]).write_bytes(b"nothing that is known")
    (folder / BROKEN[1]).write_bytes(b"")
    return folder


def events_of(text):
    return [json.loads(line) for line in text.splitlines()]


def cases_of(text):
    return {event["case"]: event for event in events_of(text) if event["event"] == "case"}


def table_of(out):
    with (out / "cohort.csv").open(encoding="utf-8", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def test_killed_in_the_middle_gone_on_with_and_done_anew_only_where_something_changed(cohort, tmp_path, capsys):
    out = tmp_path / "results"
    words = ["batch", str(cohort), "--out", str(out), "--force", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "medfm_core.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    seen = 0
    for line in process.stdout:
        seen += json.loads(line)["event"] == "case"
        if seen == 4:
            break
    below = descendants(process.pid)
    assert below
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not any(is_alive(child) for child in below))

    assert main(words) == 1
    told = cases_of(capsys.readouterr().out)
    old = [name for name, event in told.items() if event["old"]]
    assert 3 <= len(old) < 6  # what was killed is done, what was finished is not done again
    assert {name for name, event in told.items() if event["state"] == "failed"} == {"broken", "empty"}
    table = table_of(out)
    assert {name: row["state"] for name, row in table.items()} == {
        "broken": "failed", "empty": "failed", **{f"ct{number}": "done" for number in range(6)},
    }  # fmt: skip
    assert "is empty (0 bytes)" in table["empty"]["error"]
    assert len({row["voxels_sha256"] for row in table.values()}) == 7
    left = {entry.name for entry in out.iterdir()}
    assert left == {*(f"ct{n}" for n in range(6)), "cohort.csv", "batch.jsonl", ".medfm-batch.lock"}

    (out / "ct2" / "report.html").unlink()
    os.utime(cohort / "ct3.nii.gz")  # touched, and the same scan still
    changed = fake_organs.make_ct()
    fake_organs.save_ct(cohort / "ct4.nii.gz", changed)
    for name in BROKEN:
        (cohort / name).unlink()
    assert main(words) == 0
    captured = capsys.readouterr().out
    told = cases_of(captured)
    assert {name for name, event in told.items() if not event["old"]} == {"ct2", "ct4"}
    result = events_of(captured)[-1]
    assert (result["event"], result["done"], result["old"], result["failed"]) == ("result", 6, 4, 0)
    assert (out / "ct2" / "report.html").is_file()


def test_the_script_for_slicer_is_the_same_code(cohort, tmp_path):
    out = tmp_path / "results é"
    script = (sys.executable, str(SCRIPT), "--")
    done = subprocess.run(
        [*script, str(cohort / "ct0.nii.gz"), str(cohort / BROKEN[0]), "--output", str(out), "--force"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "1 of 2 cases done, 1 failed" in done.stdout
    assert "broken failed: " in done.stderr
    assert table_of(out)["ct0"]["state"] == "done"
    done = subprocess.run(
        [*script, str(cohort), f"--output={out}", "--python", "/no/such/python"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "give --python PATH" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (["nowhere"], "nowhere does not exist", 2),
        (["scans", "--model", "tiny"], "there is no model named 'tiny'", 2),
        (["scans", "--organs", "brain"], "does not cover 'brain'", 2),
        (["scans", "--findings"], "no single default model", 3),
        ([], "required: IN", 2),
    ],
)
def test_what_is_wrong_with_the_command_is_said_before_anything_begins(
    cohort, tmp_path, monkeypatch, capsys, words, sentence, code
):
    monkeypatch.chdir(tmp_path)
    assert main(["batch", *words, "--out", "results"]) == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_damaged_weights_are_said_before_anything_begins(cohort, tmp_path, capsys):
    (tmp_path / "resources" / "cards" / "tiny.safetensors").write_bytes(b"damaged")
    assert main(["batch", str(cohort), "--out", str(tmp_path / "results")]) == 3
    assert "the card says" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_two_batches_do_not_work_in_one_folder(cohort, tmp_path, capsys):
    from filelock import FileLock

    out = tmp_path / "results"
    out.mkdir()
    with FileLock(out / ".medfm-batch.lock"):
        assert main(["batch", str(cohort), "--out", str(out), "--quiet"]) == 2
    assert "another batch is at work" in capsys.readouterr().err


def test_the_help_teaches(capsys):
    assert main(["batch", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(
        words in text for words in ("medfm batch scans --out results", "cohort.csv", "exit codes: 0", "same voxels")
    )
