"""`medfm analyze --sample` on the shipped weights, as its user runs it: files, geometry, anatomy."""

from __future__ import annotations

import csv
import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medfm_core.card_library import default_card
from medfm_core.cli import main
from medfm_core.settings import read_settings


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample") / "result"
    assert main(["analyze", "--sample", "--out", str(out), "--quiet"]) == 0
    return out


def test_all_files_are_there_and_name_their_weights(result):
    manifest = json.loads((result / "analysis.json").read_text())
    assert {p.name for p in result.iterdir() if not p.name.startswith("saliency_")} == {
        "report.html", "measurements.csv", "segmentation.nii.gz", "segmentation.json", "analysis.json", "findings.csv",
        "embeddings.safetensors", "embeddings.json",
    }  # fmt: skip
    card = default_card("organ_segmentation")
    assert manifest["model"]["id"] == card.id
    assert manifest["model"]["weights"][0]["sha256"] == card.weights[0].sha256


def test_findings_say_what_was_looked_at_and_what_could_not_be(result):
    with (result / "findings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_state = {state: [row for row in rows if row["state"] == state] for state in ("present", "not_assessable")}
    calibrated = default_card("findings").findings
    assert all(row["name"] in calibrated for row in by_state["present"])
    assert all(row["reason"] for row in by_state["not_assessable"])
    maps = [path for path in result.iterdir() if path.name.startswith("saliency_")]
    assert bool(maps) == bool(by_state["present"])
    ct = nibabel.load(read_settings().resources / "sample" / "chest_ct_3mm.nii.gz")
    assert all((nibabel.load(path).affine == ct.affine).all() and nibabel.load(path).shape == ct.shape for path in maps)


def test_the_label_map_lies_exactly_on_the_ct(result):
    ct = read_settings().resources / "sample" / "chest_ct_3mm.nii.gz"
    ours, theirs = nibabel.load(result / "segmentation.nii.gz"), nibabel.load(ct)
    assert ours.shape == theirs.shape
    assert (ours.affine == theirs.affine).all()
    a, b = sitk.ReadImage(str(result / "segmentation.nii.gz")), sitk.ReadImage(str(ct))
    assert (a.GetOrigin(), a.GetSpacing(), a.GetDirection()) == (b.GetOrigin(), b.GetSpacing(), b.GetDirection())


def test_organs_have_the_size_density_and_side_of_this_patient(result):
    with (result / "measurements.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert 3200 < float(rows["lungs"]["volume_ml"]) < 4200
    assert 800 < float(rows["liver"]["volume_ml"]) < 1300
    assert float(rows["lungs"]["mean_hu"]) < -700
    assert 0 < float(rows["liver"]["mean_hu"]) < 150
    assert rows["urinary_bladder"]["state"] in ("outside", "absent")
    labels = nibabel.load(result / "segmentation.nii.gz")
    voxels = np.asarray(labels.dataobj)
    right = {
        name: (labels.affine @ [*np.argwhere(voxels == value).mean(0), 1])[0]
        for name, value in (("liver", 5), ("spleen", 1))
    }
    assert right["liver"] > right["spleen"] + 80


def test_the_card_says_what_was_measured_on_unseen_patients():
    card = default_card("organ_segmentation")
    assert card.weights[0].bytes <= 12_000_000
    unseen = [m for m in card.measured if "leave-one-patient-out" in m.on]
    assert len(unseen) == 2
    assert all(m.metric == "dice" and m.baselines for m in unseen)
    assert card.limits
