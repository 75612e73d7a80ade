"""From patients to weights as the README does it, small: synthesize, prepare, pretrain, probe, finetune, export."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from medfm_core.strict import to_dict
from training import export, finetune, prepare, pretrain, probe, synthesize
from training.data.labelled_cases import ct_input

TINY = {"name": "totalfm", "channels": 2, "image_size": [16, 32, 32], "patch_size": [8, 16, 16], "width": 24,
        "depth": 2, "heads": 2, "mlp_width": 48, "dropout": 0.0, "head_width": 8, "embedding_width": 8}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cohort in a store, and an encoder that was pre-trained on it for a few steps."""
    folder = tmp_path_factory.mktemp("five")
    spec = to_dict(ct_input()) | {"spacing_mm": [9.0, 9.0, 9.0]}
    (folder / "input.yaml").write_text(yaml.safe_dump(spec))
    assert synthesize.main(["--out", str(folder / "cohort"), "--count", "12", "--spacing", "9"]) == 0
    split_evenly(folder / "cohort" / "manifest.csv")
    data = ["--manifest", str(folder / "cohort" / "manifest.csv"), "--store", str(folder / "store")]
    assert prepare.main([*data, "--input", str(folder / "input.yaml")]) in (0, 1)
    recipe = {
        "model": TINY,
        "objective": {"name": "videomae", "mask_ratio": 0.5, "decoder_width": 12, "decoder_depth": 1,
                      "decoder_heads": 2},
        "data": {"name": "volumes", "manifest": data[1], "store": data[3], "input": spec, "crop": [16, 32, 32],
                 "skip_failed": True},
        "run": {"steps": 4, "batch_size": 2, "workers": 0, "checkpoint_every": 2, "monitor_samples": 4},
        "monitor": {"terminal": "none", "tensorboard": False, "measure_peak": False, "health_every": 2},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert pretrain.main(["--config", str(folder / "recipe.yaml"), "--out", str(folder / "run")]) == 0
    return folder


def split_evenly(manifest: Path) -> None:
    """Give every split both values of a target, whatever the patients drew."""
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["split"] = ("train", "train", "val", "test")[number // 3]
        row["target.odd"] = "yes" if number % 2 else "no"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def on(folder: Path) -> list[str]:
    data = ["--manifest", str(folder / "cohort" / "manifest.csv"), "--store", str(folder / "store")]
    return ["--run", str(folder / "run"), *data, "--target", "odd"]


def test_a_run_leaves_checkpoints_a_log_and_a_picture(folder):
    assert sorted(p.name for p in (folder / "run" / "checkpoints").iterdir()) == ["step_00000002", "step_00000004"]
    assert (folder / "run" / "log.csv").read_text().count("\n") >= 2
    assert (folder / "run" / "plots" / "overview.png").stat().st_size > 10_000


def test_the_same_command_finds_the_run_done(folder, capsys):
    assert pretrain.main(["--config", str(folder / "recipe.yaml"), "--out", str(folder / "run")]) == 0
    assert "4 steps done" in capsys.readouterr().out


def test_a_probe_says_what_the_encoder_knows(folder):
    assert probe.main([*on(folder), "--out", str(folder / "probe"), "--resamples", "20"]) == 0
    models = [row["model"] for row in json.loads((folder / "probe" / "metrics.json").read_text())["results"]]
    assert models[0] == "linear probe"
    assert "random weights" in models


def test_fine_tuning_predicts_the_held_out_subjects(folder):
    out = folder / "finetuned"
    more = ["--run.steps", "2", "--run.batch_size", "2", "--run.workers", "0", "--monitor.terminal", "none"]
    assert finetune.main([*on(folder), "--out", str(out), "--resamples", "20", *more]) == 0
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == {"val", "test"}
    assert {"target", "prediction", "probability_no", "probability_yes"} <= set(rows[0])
    assert json.loads((out / "metrics.json").read_text())["results"][0]["model"] == "fine-tuned"


def test_weights_and_card_are_exported_and_probed_again(folder):
    resources = folder / "resources"
    command = ["--run", str(folder / "run"), "--id", "toy.v1", "--resources", str(resources)]
    assert export.main(command) == 0
    card = json.loads((resources / "cards" / "toy.v1.json").read_text())
    assert card["task"] == "embedding"
    assert card["licence"] == "LicenseRef-not-stated"
    data = ["--manifest", str(folder / "cohort" / "manifest.csv"), "--store", str(folder / "store")]
    again = ["--card", str(resources / "cards" / "toy.v1.json"), *data, "--target", "odd", "--no-random"]
    assert probe.main([*again, "--out", str(folder / "again"), "--resamples", "20"]) == 0


def test_an_export_of_nothing_is_one_sentence(tmp_path, capsys):
    assert export.main(["--run", str(tmp_path), "--id", "x.v1", "--resources", str(tmp_path)]) == 2
    assert "no whole checkpoint" in capsys.readouterr().err
