"""Segmentation from prepared volumes to Dice with intervals, by the commands: a decoder that must beat the position."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
import yaml
from fake_cohort import body, write_manifest, write_nifti

from medfm_core.errors import InputError
from medfm_core.io import read_volume
from medfm_core.strict import from_dict
from medfm_core.volume import Kind
from training import finetune, prepare, pretrain, probe
from training.data.label_volumes import LabelVolumes, LabelVolumesConfig
from training.data.labelled_case import IGNORE
from training.engine.draw import DrawKey
from training.evaluation.position_prior import PositionPrior
from training.evaluation.segment_volumes import segment_volume

MODEL = {"name": "totalfm", "channels": 1, "image_size": [16, 16, 16], "patch_size": [4, 4, 4], "width": 48, "depth": 2,
         "heads": 4, "mlp_width": 96, "dropout": 0.0, "head_width": 8, "embedding_width": 8}  # fmt: skip
SPEC = {"modality": ["CT"], "spacing_mm": [9.0, 9.0, 9.0],
        "intensity": {"kind": "clip_scale", "hu": [-200, 300], "to": [-1, 1]}}  # fmt: skip
QUIET = ["--monitor.terminal", "none", "--monitor.tensorboard", "false", "--monitor.measure_peak", "false"]
COUNT = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bodies whose bright organ lies anywhere, so that only the image tells where; an encoder; a store."""
    folder = tmp_path_factory.mktemp("segment")
    rows = []
    for number in range(COUNT):
        hu, labels = moved(number)
        write_nifti(folder / f"{number}.nii.gz", hu, 6.0)
        write_nifti(folder / f"{number}_l.nii.gz", labels, 6.0)
        split = "test" if number >= COUNT - 5 else "val" if number == COUNT - 6 else "train"
        rows.append({"subject": f"s{number}", "study": "one", "path": f"{number}.nii.gz", "modality": "CT",
                     "split": split, "labels": f"{number}_l.nii.gz" if number else ""})  # fmt: skip
    write_manifest(folder / "manifest.csv", rows)
    (folder / "input.yaml").write_text(yaml.safe_dump(SPEC))
    command = ["--manifest", folder / "manifest.csv", "--store", folder / "store", "--input", folder / "input.yaml"]
    assert prepare.main([str(part) for part in command]) == 0
    recipe = {
        "model": MODEL,
        "objective": {"name": "videomae", "mask_ratio": 0.5, "mask": "random", "decoder_width": 12,
                      "decoder_depth": 1, "decoder_heads": 2},
        "data": {"name": "volumes", "manifest": str(folder / "manifest.csv"), "store": str(folder / "store"),
                 "input": SPEC, "crop": [16, 16, 16]},
        "run": {"steps": 2, "batch_size": 2, "workers": 0, "precision": "fp32"},
        "monitor": {"terminal": "none", "tensorboard": False, "measure_peak": False, "health_every": 0,
                    "probe_every": 0},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert pretrain.main(["--config", str(folder / "recipe.yaml"), "--out", str(folder / "run")]) == 0
    return folder


def moved(seed):
    """A body with a bright liver and a faint kidney at drawn places; not a cube, and not isotropic after all."""
    rng = np.random.default_rng(seed + 100)
    hu, labels = body(seed, (40, 36, 44))
    hu = np.where(hu > 60, 50, hu).astype(np.int16)
    labels = np.zeros_like(labels)
    grid = np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij")
    for label, value, radius in ((5, 250, 8), (3, -60, 6)):
        centre = [rng.integers(radius + 5, n - radius - 5) for n in hu.shape]
        inside = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2
        hu[inside], labels[inside] = value, label
    return hu, labels


def common(folder, out):
    data = ["--manifest", str(folder / "manifest.csv"), "--store", str(folder / "store")]
    return ["--run", str(folder / "run"), *data, "--task", "segmentation", "--out", str(out), "--resamples", "50"]


def results(out):
    found = json.loads((out / "metrics.json").read_text())
    return found, {row["model"]: row["metrics"]["dice"] for row in found["results"]}


def test_fine_tuning_beats_the_position_and_writes_segmentations_on_the_inputs_grid(folder, capsys):
    out = folder / "finetuned"
    more = ["--run.steps", "90", "--run.workers", "0", "--run.precision", "fp32", "--optim.lr", "0.002", *QUIET,
            "--objective.decoder_width", "32"]  # fmt: skip
    assert finetune.main([*common(folder, out), "--target", "liver", "kidney_l*", "--save-labels", *more]) == 0
    found, models = results(out)
    assert found["names"] == ["liver", "kidney_left"]
    assert found["splits"]["train"] == {"items": 7, "subjects": 7}  # one of the eight has no label map
    ours, prior = models["fine-tuned"], models["mean position"]
    assert ours["parts"]["liver"]["value"] > 0.6
    assert prior["parts"]["liver"]["value"] < 0.3
    assert ours["parts"]["liver"]["low"] > prior["parts"]["liver"]["high"]
    assert ours["subjects"] == 5
    assert found["differences"][0]["metrics"]["dice"]["low"] > 0
    assert "Dice" in capsys.readouterr().out
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["val"] + ["test"] * 5
    mean = np.mean([float(row["dice_liver"]) for row in rows if row["split"] == "test"])
    assert mean == pytest.approx(ours["parts"]["liver"]["value"], abs=1e-5)
    files = sorted((out / "labels").iterdir())
    assert len(files) == 6
    for file, number in zip(files, range(COUNT - 6, COUNT), strict=True):
        truth = read_volume(folder / f"{number}.nii.gz")
        said = read_volume(file, kind=Kind.LABEL)
        assert said.shape == truth.shape
        assert np.array_equal(said.affine.matrix, truth.affine.matrix)
        assert set(np.unique(said.voxels)) <= {0, 1, 2}
        true = read_volume(folder / f"{number}_l.nii.gz", kind=Kind.LABEL).voxels == 5
        both = 2 * (true & (said.voxels == 1)).sum() / (true.sum() + (said.voxels == 1).sum())
        assert both > 0.4, "the segmentation does not lie where the organ is"


def test_a_probe_trains_a_decoder_on_the_frozen_encoder_and_on_random_weights(folder):
    out = folder / "probed"
    assert probe.main([*common(folder, out), "--target", "liver", "--steps", "12", "--device", "cpu"]) == 0
    found, models = results(out)
    assert list(models) == ["voxel probe", "random weights", "mean position"]
    assert [row["model"] for row in found["differences"]] == [
        "voxel probe minus random weights", "voxel probe minus mean position",
    ]  # fmt: skip
    assert not (out / "labels").exists()
    from training.engine.runs import load_run

    probed, start = load_run(out / "runs" / "voxel_probe")[0], load_run(folder / "run")[0]
    same = zip(probed.encoder.state_dict().values(), start.encoder.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)  # frozen
    other = load_run(out / "runs" / "random_weights")[0].encoder.state_dict()
    assert any(not torch.equal(value, other[name]) for name, value in start.encoder.state_dict().items())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--target", "lver"], "liver"),
        (["--target", "lver*"], "liver"),
        (["--few-shot", "1,5"], "--few-shot"),
    ],
)
def test_what_cannot_be_is_a_sentence(folder, tmp_path, capsys, more, says):
    assert probe.main([*common(folder, tmp_path / "out"), *more]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_other_tasks_need_a_target_and_write_no_labels(folder, tmp_path, capsys):
    bare = [part for part in common(folder, tmp_path) if part not in ("--task", "segmentation")]
    assert finetune.main(bare) == 2
    assert "--target" in capsys.readouterr().err
    assert probe.main([*bare, "--target", "liver", "--save-labels"]) == 2
    assert "--task segmentation" in capsys.readouterr().err


def source(folder, **more):
    data = {"manifest": str(folder / "manifest.csv"), "store": str(folder / "store"), "input": SPEC,
            "crop": [16, 16, 16], **more}  # fmt: skip
    return LabelVolumes(from_dict(LabelVolumesConfig, data, "the test"))


def test_samples_have_classes_by_name(folder):
    volumes = source(folder, foreground_share=1.0)
    assert volumes.names == ("kidney_left", "liver")
    assert len(volumes) == 7
    sample = volumes.sample(2, DrawKey(0, 5))
    assert sample["target"].shape == sample["image"].shape[1:]
    assert sample["target"].dtype == torch.int64
    assert "labels" not in sample
    whole, raw = volumes.classes(volumes.volume(0)), volumes.volume(0).labels().voxels
    assert np.array_equal(whole, np.select([raw == 3, raw == 5], [1, 2], 0))
    only = source(folder, classes=["liver"])
    assert np.array_equal(only.classes(only.volume(0)), raw == 5)


def test_crops_of_the_foreground_hold_one_of_the_classes(folder):
    for name in ("liver", "kidney_left"):
        volumes = source(folder, classes=[name], foreground_share=1.0, crop=[4, 4, 4])
        assert all(volumes.sample(i % 7, DrawKey(0, i))["target"].any() for i in range(40))


def test_a_map_that_does_not_look_for_a_structure_says_nothing_of_it(folder, monkeypatch):
    volumes = source(folder)
    volumes.names = ("liver", "spleen")
    volume = volumes.volume(0)
    raw = volume.labels().voxels
    assert not (volumes.classes(volume) == IGNORE).any()  # the vocabulary's numbers: all was looked for
    monkeypatch.setitem(volume.facts, "label_names", {"5": "liver", "3": "kidney_left"})
    found = volumes.classes(volume)
    assert np.array_equal(found == 1, raw == 5)
    assert (found[raw != 5] == IGNORE).all()


def test_no_label_maps_are_a_sentence(folder, tmp_path):
    rows = [{"subject": "s0", "study": "one", "path": str(folder / "0.nii.gz"), "modality": "CT", "split": "train"}]
    manifest = write_manifest(tmp_path / "m.csv", rows)
    with pytest.raises(InputError):
        source(folder, manifest=str(manifest))


def test_tiles_put_together_are_what_a_voxelwise_net_says_of_the_whole(folder):
    """The threshold lies between two whole numbers of HU, so that rounding decides nothing."""

    class Bright(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(1))

        def answer(self, batch):
            image = batch["image"][:, 0]
            return torch.stack([0 * image, 10 * (image - 0.501)], dim=1) * self.one

    volumes = source(folder)
    for crop in ((16, 16, 16), (64, 16, 64)):
        volume = volumes.volume(1)
        found = segment_volume(Bright(), volume, volumes.config.spec, crop, 2)
        scaled = np.clip((volume.volume().voxels + 200) / 500 * 2 - 1, -1, 1)
        assert found.shape == volume.shape
        assert np.array_equal(found == 1, scaled > 0.501)


def test_the_prior_answers_by_position_alone():
    maps = [np.zeros((20, 30, 10), np.uint8) for _ in range(3)]
    maps[0][:10] = maps[1][:10] = 1
    maps[2][:] = IGNORE
    answer = PositionPrior(maps, 2).answer((40, 5, 7))
    assert answer.shape == (40, 5, 7)
    assert (answer[:20] == 1).all()
    assert (answer[20:] == 0).all()
