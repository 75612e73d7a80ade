"""`medfm batch` over studies of brain MRI, one of them broken, with a tiny encoder of random weights."""

from __future__ import annotations

import csv
import json
import shutil
import sys

import numpy as np
import pytest
from brain_toys import brain_card, save_brains

from medfm_core.cli import main
from medfm_core.embedding_files import read_embeddings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the worker's tests run on Linux")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    brain_card(folder / "resources")
    save_brains(folder)
    studies = folder / "studies"
    (studies / "p2").mkdir(parents=True)
    for name in ("T1w", "FLAIR"):
        shutil.copy(folder / f"p1_{name}.nii.gz", studies / "p2" / f"sub_{name}.nii.gz")
    (folder / "broken_T1w.nii.gz").write_bytes(b"nothing that is known")
    (folder / "list.csv").write_text(
        "case,T1w,flair,age\n"
        "first,p1_T1w.nii.gz,p1_FLAIR.nii.gz,40\n"
        "bad,broken_T1w.nii.gz,p1_FLAIR.nii.gz,41\n"
        "nameless,volume.nii.gz,,42\n"
    )
    return folder


def run(place, capsys, monkeypatch, *words):
    monkeypatch.setenv("MEDFM_RESOURCES", str(place / "resources"))
    monkeypatch.setenv("MEDFM_CACHE", str(place / "cache"))
    code = main(["batch", *map(str, words), "--model", "toy-brain.v1", "--threads", "1", "--json"])
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return code, {event["case"]: event for event in events if event["event"] == "case"}


def table_of(out):
    with (out / "cohort.csv").open(encoding="utf-8", newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


def test_a_broken_study_stops_no_other_and_the_finished_ones_stay(place, capsys, monkeypatch):
    out = place / "results"
    code, told = run(place, capsys, monkeypatch, place / "list.csv", "--out", out)
    assert code == 1
    assert {name: event["state"] for name, event in told.items()} == {
        "first": "done", "bad": "failed", "nameless": "done"
    }  # fmt: skip
    table = table_of(out)
    first = table["first"]
    assert (first["scans"], first["model"], first["T1w.shape"]) == ("T1w FLAIR", "toy-brain.v1", "52 66 56")
    assert table["nameless"]["scans"] == "T1w"  # as its column says
    assert table["bad"]["error"]
    assert "organ" not in " ".join(first)
    assert "findings_model" not in first
    with np.load(out / "embeddings.npz") as vectors:
        assert list(vectors["cases"]) == ["first"] * 3 + ["nameless"] * 2
        assert list(vectors["units"]) == ["FLAIR", "T1w", "study", "T1w", "study"]
        assert np.allclose(np.linalg.norm(vectors["vectors"], axis=1), 1, atol=1e-5)
        assert np.array_equal(vectors["vectors"][2], read_embeddings(out / "first").study)

    (place / "broken_T1w.nii.gz").unlink()
    shutil.copy(place / "p1_T1w.nii.gz", place / "broken_T1w.nii.gz")
    (out / "nameless" / "report.html").unlink()
    code, told = run(place, capsys, monkeypatch, place / "list.csv", "--out", out)
    assert code == 0
    assert {name: event["old"] for name, event in told.items()} == {"first": True, "bad": False, "nameless": False}
    code, told = run(place, capsys, monkeypatch, place / "list.csv", "--out", out, "--saliency", "none")
    assert not any(event["old"] for event in told.values())  # other options make other results


def test_what_belongs_together_is_found(place, tmp_path):
    from medfm_core.batch.brain_inputs import find_studies

    def names(*inputs):
        return {case.name: [scan.name for scan in case.scans] for case in find_studies(inputs, tmp_path / "out")}

    assert names(place / "studies") == {"p2": ["sub_FLAIR.nii.gz", "sub_T1w.nii.gz"]}
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("a_T1w.nii", "a_T2_FLAIR.nii", "b_T1w.nii", "b_mask.nii", "c t1 flair.nii"):
        (flat / name).write_bytes(b"")
    assert names(flat) == {
        "a": ["a_T1w.nii", "a_T2_FLAIR.nii"], "b": ["b_T1w.nii"], "c": ["c t1 flair.nii"]
    }  # fmt: skip
    (tmp_path / "list.txt").write_text("flat/a_T1w.nii\nflat/no_T2w.nii\n")
    assert names(tmp_path / "list.txt") == {"a": ["a_T1w.nii"], "no": ["no_T2w.nii"]}


def test_what_is_wrong_is_said_before_anything_begins(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MEDFM_RESOURCES", str(place / "resources"))
    (tmp_path / "a.csv").write_text("patient,age\n1,2\n")
    (tmp_path / "b.csv").write_text("case,T1w\nx,\n")
    (tmp_path / "empty").mkdir()
    out = str(tmp_path / "out")
    for source, more, words in (
        ("a.csv", (), "name the columns T1w, T2w, FLAIR, or one column path"),
        ("b.csv", (), "line 2 of"),
        ("empty", (), "no brain MRI was found"),
        ("empty", ("--organs", "liver"), "--organs is for CT"),
        ("empty", ("--modality", "CT", "--register"), "--register is for brain MRI"),
    ):
        model = () if "--modality" in more else ("--model", "toy-brain.v1")
        assert main(["batch", str(tmp_path / source), *model, *more, "--out", out]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
