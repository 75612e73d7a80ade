import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from medfm_core.errors import InputError
from medfm_core.io import read_volume
from medfm_core.volume import Kind
from training.synthesize import main
from training.synthetic.cohort import COLUMNS, CohortPlan, make_cohort

COMMAND = ["--count", "1", "--seed", "5", "--spacing", "6", "--region", "pelvis", "--findings", "bladder_stone"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "made"
    assert main(["--out", str(folder), *COMMAND, "--preview"]) == 0
    return folder


def test_a_patient_folder_is_whole(cohort):
    patient = cohort / "patient_000005"
    assert {p.name for p in patient.iterdir()} == {
        "image.nii.gz", "organs.nii.gz", "lesions.nii.gz", "report.txt", "truth.json", "preview.png",
    }  # fmt: skip
    image = read_volume(patient / "image.nii.gz")
    organs = read_volume(patient / "organs.nii.gz", kind=Kind.LABEL)
    lesions = read_volume(patient / "lesions.nii.gz", kind=Kind.LABEL)
    assert image.grid.same_as(organs.grid)
    assert image.grid.same_as(lesions.grid)
    truth = json.loads((patient / "truth.json").read_text())
    ids = {number for finding in truth["findings"] for number in finding["lesion_ids"]}
    assert ids == set(np.unique(lesions.voxels).tolist()) - {0}
    assert truth["findings"][0]["name"] == "bladder_stone"
    volume = (organs.voxels == 21).sum() * 0.216
    assert truth["organs_ml"]["urinary_bladder"] == pytest.approx(volume, rel=0.01)
    report = (patient / "report.txt").read_text()
    assert report.startswith("TECHNIQUE\n")
    assert "IMPRESSION\n1. " in report


def test_the_manifest_lists_what_training_needs(cohort):
    with open(cohort / "cohort.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    row = rows[0]
    assert (cohort / row["path"]).is_file()
    assert (cohort / row["labels"]).is_file()
    assert row["subject"] == "patient_000005"
    assert row["modality"] == "CT"
    assert row["region"] == "pelvis"
    assert row["split"] in ("train", "val", "test")
    assert "urinary_bladder" in row["organs"].split(";")
    assert row["findings"] == "bladder_stone"
    assert "bladder" in row["text"]
    assert (cohort / "preview.png").stat().st_size > 3000


def test_the_same_command_keeps_what_is_there(cohort, capsys):
    image = cohort / "patient_000005" / "image.nii.gz"
    before = image.stat().st_mtime_ns
    assert main(["--out", str(cohort), *COMMAND, "--preview"]) == 0
    assert image.stat().st_mtime_ns == before
    assert "1 virtual patients" in capsys.readouterr().out
    assert not [p for p in cohort.iterdir() if p.name.startswith(".part")]


def test_another_plan_does_not_overwrite_patients(cohort, capsys):
    assert main(["--out", str(cohort), *COMMAND[:-1], "prostatomegaly"]) == 2
    assert "another patient" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--count", "0"], "at least one"),
        (["--findings", "gout"], "no such finding: gout"),
        (["--spacing", "40"], "0.5 to 12"),
        (["--thickness", "1"], "slices of 1.0 mm"),
        (["--seed", "-1"], "negative"),
        (["--workers", "0"], "at least 1"),
    ],
)
def test_bad_words_end_in_one_sentence(tmp_path, capsys, words, says):
    assert main(["--out", str(tmp_path / "x"), *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "truth.json" in text
    assert "vertebral_compression_fracture" in text


def test_a_failing_write_leaves_no_half_patient(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.synthetic.cohort.write_scalar", broken)
    monkeypatch.setattr("training.synthetic.cohort.synthesize_patient", lambda **_: type("P", (), {"image": None})())
    with pytest.raises(Exception, match="no space is left"):
        make_cohort(CohortPlan(1), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_regions_are_drawn_per_patient_and_stay():
    plan = CohortPlan(30, regions=("chest", "abdomen"))
    regions = [plan.arguments(n)["region"] for n in range(30)]
    assert set(regions) == {"chest", "abdomen"}
    assert regions == [plan.arguments(n)["region"] for n in range(30)]
    with pytest.raises(InputError, match="region"):
        CohortPlan(1, regions=("head",))


def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path):
    """kill -9 while a patient is written; the same command then leaves whole patients and nothing else."""
    folder = tmp_path / "cohort"
    code = (
        "import time; from training.synthetic import cohort; real = cohort._write_files\n"
        "def slow(*arguments):\n    real(*arguments); time.sleep(600)\n"
        f"cohort._write_files = slow\nfrom training.synthesize import main\nmain({['--out', str(folder), *COMMAND]!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        for _ in range(1200):
            if list(folder.glob(".part-*/truth.json")):
                break
            time.sleep(0.1)
        assert main(["--out", str(folder), *COMMAND[:1], "1", "--seed", "6", *COMMAND[4:]]) == 0
        assert list(folder.glob(".part-*/truth.json")), "a living process lost its work"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert main(["--out", str(folder), *COMMAND]) == 0
    names = {path.name for path in folder.iterdir()}
    assert {"patient_000005", "patient_000006"} <= names
    assert not [name for name in names if name.startswith(".")]
