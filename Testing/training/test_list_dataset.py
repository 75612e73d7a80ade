"""BTCV and CHAOS from folders as they are downloaded to manifests, and on to training."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from PIL import Image
from published_folders import BRIGHTER, COLUMNS, ROWS, make_btcv, make_chaos, organs

from medfm_core.io import read_volume
from medfm_core.volume import Kind, reorient
from training import list_dataset, prepare, pretrain
from training.data.label_volumes import LabelVolumes, LabelVolumesConfig
from training.data.manifest import read_manifest
from training.data.preparation import read_plan

INPUT = """modality: [CT, MR]
orientation: LPS
spacing_mm: [4.0, 4.0, 8.0]
spacing_rule: exact
crop: none
intensity: {kind: percentiles, percentiles: [0.5, 99.5], to: [0, 1]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    make_btcv(folder)
    make_chaos(folder)
    return folder


def listed(*arguments):
    assert list_dataset.main([str(argument) for argument in arguments]) == 0
    out = arguments[arguments.index("--out") + 1]
    return read_manifest(out / "manifest.csv").rows


def test_btcv_is_listed_with_its_organs_and_splits(folder, tmp_path, capsys):
    rows = listed("btcv", folder / "RawData", "--out", tmp_path / "b")
    assert [(row.subject, row.split) for row in rows] == [
        ("btcv-0001", "train"), ("btcv-0002", "train"), ("btcv-0033", "val"), ("btcv-0035", "test"),
    ]  # fmt: skip
    assert rows[0].label_names[2] == "kidney_right"
    assert len(rows[0].label_names) == 13
    assert "2 train, 1 val, 1 test" in capsys.readouterr().out
    more = listed("btcv", folder, "--out", tmp_path / "more", "--unlabelled")
    assert [(row.subject, row.split, row.labels) for row in more[4:]] == [("btcv-0061", "train", None)]


def test_chaos_is_listed_by_scan(folder, tmp_path):
    rows = listed("chaos", folder / "Train_Sets", "--out", tmp_path)
    assert [(row.subject, row.sequence) for row in rows] == [
        ("chaos-ct-01", ""), ("chaos-ct-02", ""), ("chaos-mr-01", "T1in"), ("chaos-mr-01", "T1out"),
        ("chaos-mr-01", "T2spir"), ("chaos-mr-13", "T1in"), ("chaos-mr-13", "T1out"), ("chaos-mr-13", "T2spir"),
    ]  # fmt: skip
    assert rows[0].label_names == {1: "liver"}
    assert rows[2].label_names == {1: "liver", 2: "kidney_right", 3: "kidney_left", 4: "spleen"}
    assert all(row.path.is_dir() and row.labels.is_file() for row in rows)
    only = listed("chaos", folder, "--modality", "MR", "--out", tmp_path / "mr")
    assert {row.modality for row in only} == {"MR"}


def test_masks_lie_on_their_scans_voxel_by_voxel(folder, tmp_path):
    for row in listed("chaos", folder, "--out", tmp_path):
        scan, labels = read_volume(row.path), read_volume(row.labels, kind=Kind.LABEL)
        assert np.allclose(labels.affine.matrix, scan.affine.matrix, atol=1e-4)
        found = reorient(labels, "LPI").voxels.transpose(2, 1, 0)  # slices from head to feet, as they were made
        assert np.array_equal(found, organs(len(found), 1 if row.modality == "CT" else 4))
        bright = (scan.voxels - scan.voxels.min()) // BRIGHTER[row.modality]
        assert np.array_equal(bright, labels.voxels)


def test_patients_of_ten_are_split_alike(tmp_path):
    make_chaos(tmp_path, ct=(1, 2, 5, 6, 8, 10, 14, 16, 18, 19), mr=())
    splits = [row.split for row in listed("chaos", tmp_path, "--out", tmp_path / "out")]
    assert splits == ["train"] * 3 + ["val", "test"] + ["train"] * 4 + ["test"]


def test_folders_of_another_kind_are_sentences(folder, tmp_path, capsys):
    def refused(*arguments):
        assert list_dataset.main([*map(str, arguments), "--out", str(tmp_path / "x")]) == 2
        return capsys.readouterr().err

    assert "no Training/img" in refused("btcv", folder / "Train_Sets")
    assert "no scans under CT or MR" in refused("chaos", folder / "RawData")
    raw = make_btcv(tmp_path)
    (raw / "Training" / "label" / "label0002.nii.gz").unlink()
    assert "case 0002" in refused("btcv", raw)
    root = make_chaos(tmp_path, ct=(3,), mr=())
    ground = root / "CT" / "3" / "Ground"
    Image.fromarray(np.zeros((ROWS, COLUMNS - 1), np.uint8)).save(ground / "liver_GT_004.png")
    assert "not as large" in refused("chaos", root)
    (ground / "liver_GT_004.png").write_bytes(b"no picture")
    assert "cannot be read" in refused("chaos", root)
    (ground / "liver_GT_004.png").unlink()
    assert "7 images" in refused("chaos", root)
    assert not (tmp_path / "x" / "manifest.csv").exists()


def test_grey_values_of_no_organ_are_background(tmp_path, caplog):
    root = make_chaos(tmp_path, ct=(), mr=(1,))
    mask = root / "MR" / "1" / "T2SPIR" / "Ground" / "IMG-0002-00001.png"
    grey = np.array(Image.open(mask))
    grey[0, :4] = (55, 70, 71, 255)
    Image.fromarray(grey).save(mask)
    rows = listed("chaos", tmp_path, "--out", tmp_path / "out")
    labels = reorient(read_volume(rows[2].labels, kind=Kind.LABEL), "LPI").voxels[:4, 0, 0]
    assert labels.tolist() == [0, 1, 0, 4]
    assert "2 pixels" in caplog.text


def test_from_both_modalities_to_a_training_step(folder, tmp_path, monkeypatch):
    """CT on which only the liver is labelled may be mixed with MR: what is not labelled there is of unknown truth."""
    monkeypatch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)
    listed("chaos", folder, "--out", tmp_path)
    (tmp_path / "input.yaml").write_text(INPUT)
    command = ["--manifest", str(tmp_path / "manifest.csv"), "--store", str(tmp_path / "store"), "--preparation",
               "whole_image", "--input", str(tmp_path / "input.yaml"), "--accept", "tiny"]  # fmt: skip
    assert prepare.main(command) == 0
    data = {"manifest": str(tmp_path / "manifest.csv"), "store": str(tmp_path / "store"), "split": "all",
            "preparation": "whole_image", "crop": (4, 8, 8),
            "classes": ("liver", "kidney_right", "spleen")}  # fmt: skip
    spec = read_plan(None, tmp_path / "input.yaml", "whole_image").spec
    source = LabelVolumes(LabelVolumesConfig(**data, input=spec))
    truths = {row.modality: set(np.unique(source.classes(source.volume(n)))) for n, row in enumerate(source.rows)}
    assert truths == {"CT": {1, 255}, "MR": {0, 1, 2, 3}}
    recipe = {
        "model": {"name": "spad_vit", "channels": 1, "patch": 4, "width": 16, "depth": 4, "heads": 2, "mlp_width": 16,
                  "position_grid": [2, 3, 3]},
        "objective": {"name": "spad_segmentation", "outputs": 4, "degree": 1, "widths": [4, 4, 8, 8]},
        "data": {"name": "label_volumes", **data, "input": yaml.safe_load(INPUT), "crop": [4, 8, 8],
                 "classes": list(data["classes"])},
        "run": {"steps": 1, "batch_size": 2, "workers": 0, "precision": "fp32", "device": "cpu", "best": "finest",
                "monitor_samples": 0, "checkpoint_every": 1},
        "monitor": {"terminal": "none", "tensorboard": False, "measure_peak": False, "count_flops": False},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert pretrain.main(["--config", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]) == 0
