"""Brains of a manifest registered once, with their label maps, before they are prepared."""

from __future__ import annotations

import csv
import json

import nibabel
import numpy as np
import pytest
from brain_toys import toy_brain

from training import prepare, standardise_brains
from training.data import brain_standardising

MAP = np.array([[0.93, 0.10, 0.03, 9], [-0.11, 0.98, -0.06, -14], [-0.02, 0.07, 0.9, 11], [0, 0, 0, 1.0]])
INPUT = """modality: [MR]
orientation: SAR
spacing_mm: [3, 3, 3]
size: [40, 52, 40]
intensity: {kind: percentiles, percentiles: [0.5, 99.5], to: [0, 1]}
"""


def save(volume, path, voxels=None):
    data = volume.voxels if voxels is None else voxels
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(data), volume.affine.matrix), path)


def test_from_a_manifest_to_the_store(tmp_path, capsys, monkeypatch):
    template, scan = toy_brain(), toy_brain(MAP, seed=1)
    save(template, tmp_path / "template.nii.gz")
    save(scan, tmp_path / "a.nii.gz")
    spot = np.zeros(scan.shape, np.uint8)
    spot[20:24, 30:35, 30:34] = 7  # the toys have the same array, whatever their place
    save(scan, tmp_path / "a_labels.nii.gz", spot)
    (tmp_path / "blank.nii.gz").write_bytes(b"no image")
    rows = [("s1", "x", "a.nii.gz", "MR", "a_labels.nii.gz", '{"7": "lesion"}', "train", "3"),
            ("s2", "x", "blank.nii.gz", "MR", "", "", "train", "4")]  # fmt: skip
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("subject", "study", "path", "modality", "labels", "label_names", "split", "target.age"))
        writer.writerows(rows)
    how = ["--manifest", str(tmp_path / "m.csv"), "--out", str(tmp_path / "standard")]
    how += ["--register", "--template", str(tmp_path / "template.nii.gz")]
    assert standardise_brains.main(how) == 1
    assert "row 3 failed" in capsys.readouterr().err
    place = tmp_path / "standard" / "row000002"
    image, labels = nibabel.load(place / "image.nii.gz"), nibabel.load(place / "labels.nii.gz")
    assert image.shape == labels.shape == template.shape
    assert np.allclose(image.affine, template.affine.matrix)
    middle = np.argwhere(np.asarray(labels.dataobj) == 7).mean(axis=0)
    assert np.abs(middle - (21.5, 32, 31.5)).max() < 1.5  # voxels: where the same spot of the template is
    assert (place / "registration.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((place / "standard.json").read_text())["overlap"] > 0.9
    (row,) = list(csv.DictReader((tmp_path / "standard" / "manifest.csv").open()))
    assert (row["path"], row["target.age"]) == ("row000002/image.nii.gz", "3")
    monkeypatch.setattr(brain_standardising, "to_standard", lambda *given: pytest.fail("it was there already"))
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("subject", "study", "path", "modality", "labels", "label_names", "split", "target.age"))
        writer.writerow(rows[0])
    assert standardise_brains.main(how) == 0
    (tmp_path / "input.yaml").write_text(INPUT)
    command = ["--manifest", str(tmp_path / "standard" / "manifest.csv"), "--store", str(tmp_path / "store")]
    assert prepare.main([*command, "--preparation", "brain_mr", "--input", str(tmp_path / "input.yaml")]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "--register, --strip or both"), (["--strip", "--template", "x"], "add --register")],
)
def test_commands_that_cannot_be(tmp_path, capsys, arguments, said):
    assert standardise_brains.main(["--manifest", "m.csv", "--out", str(tmp_path), *arguments]) == 2
    assert said in capsys.readouterr().err
