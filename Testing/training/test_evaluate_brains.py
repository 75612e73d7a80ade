"""The table of brain encoders: from prepared heads and runs to a page, and sentences for what is wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from small_heads import INPUT, small_heads, small_run

from training.engine.draw import DrawKey
from training.evaluate_brains import main
from training.evaluation.held_out import WhereHeldOut, open_held_out

OBJECTIVES = {
    "latent": {"name": "neuro_jepa", "predictor_width": 24, "predictor_depth": 1, "predictor_heads": 2},
    "pixels": {"name": "videomae", "mask": "random", "mask_ratio": 0.5, "decoder_width": 12, "decoder_depth": 1,
               "decoder_heads": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    train, store = small_heads(folder / "train", 20)
    test, test_store = small_heads(folder / "test", 12, first=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.engine.monitors.pictures.Pictures.draw", lambda self: None)
        runs = {name: small_run(folder / name, train, store, objective) for name, objective in OBJECTIVES.items()}
    places = ["--train-manifest", str(train), "--train-store", str(store), "--test-manifest", str(test),
              "--test-store", str(test_store)]  # fmt: skip
    named = [f"--run={name}={path}" for name, path in runs.items()]
    return folder, places, named


def command(made, out: Path, *more: str) -> list[str]:
    return [*made[1], "--out", str(out), "--device", "cpu", "--resamples", "40", "--target", "lesion", "side", "age",
            "sequence", *more]  # fmt: skip


def test_one_table_of_encoders_random_weights_and_a_network(made, tmp_path, capsys):
    more = ["--shots", "4", "--draws", "1", "--network-steps", "2"]
    assert main([*command(made, tmp_path, *more), *made[2]]) == 0
    found = json.loads((tmp_path / "brains.json").read_text())
    rows = {(row["model"], row["labels"]): row for row in found["results"]}
    models = ("latent", "pixels", "random weights")  # both runs are of one architecture
    wanted = {(model, labels) for model in models for labels in ("all", 4)}
    assert set(rows) == {*wanted, ("small CNN from scratch", 4)}
    assert rows["latent", "all"]["reference_minus_this"] is None
    assert rows["pixels", 4]["reference_minus_this"]["subjects"] == 12
    assert rows["latent", "all"]["columns"]["lesion"]["subjects"] == 12
    assert rows["latent", "all"]["regularisation"]["age, T1w"]["chosen_by"] == "5 folds"  # val has 4 heads
    assert found["columns"]["side"] == ["side, FLAIR", "side, T1w"]
    side = found["targets"]["side, T1w"]
    assert side["names"] == ["left", "right"]
    assert side["splits"]["test"] == {"items": 6, "subjects": 6, "classes": {"left": 3, "right": 3}}
    assert found["targets"]["lesion, T1w"]["splits"]["train"]["subjects"] == 16
    assert rows["small CNN from scratch", 4]["parameters"] > 10_000
    assert rows["latent", "all"]["columns"]["sequence"]["value"] == 1  # the contrast is plain to see
    page = (tmp_path / "brains.md").read_text()
    assert page in capsys.readouterr().out
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 7
    assert {line.count("|") for line in lines} == {4 + 4 + 1}


def test_every_scan_keeps_its_truth(made):
    """The side of the blob and the contrast can be seen in the voxels of the row that names them."""
    data = {"input": INPUT, "preparation": "brain_mr", "crop": [16, 16, 16], "place": "centre", "split": "all"}
    held_out = open_held_out(WhereHeldOut(*made[1][1::2]), data)
    assert len(held_out.source) == len(held_out.rows) == 64
    for item in range(0, 64, 3):
        row, image = held_out.rows[item], held_out.source.sample(item, DrawKey(0, item))["image"][0]
        bright = image > 0.9
        left, right = int(bright[:8].sum()), int(bright[8:].sum())  # D runs towards the right
        side = "" if not left + right else "both" if min(left, right) else "left" if left else "right"
        assert side == (row.targets["side"] or "") or row.targets["side"] is None
        assert row.split == ("test" if item >= 40 else "val" if int(row.subject[1:]) % 5 == 0 else "train")


def test_what_was_computed_is_not_computed_again(made, tmp_path, monkeypatch):
    more = ["--target", "lesion", "--shots", "4", "--draws", "1", "--network-steps", "1", *made[2][:1]]
    assert main(command(made, tmp_path, *more)) == 0
    first = (tmp_path / "brains.json").read_text()

    def never(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr("training.evaluation.features._compute", never)
    monkeypatch.setattr("training.evaluation.few_shot_network.train_network", never)
    assert main(command(made, tmp_path, *more)) == 0
    assert (tmp_path / "brains.json").read_text() == first


def test_what_is_wrong_is_a_sentence(made, tmp_path, capsys):
    folder, places, named = made
    assert main(command(made, tmp_path)) == 2
    assert "no encoder is named" in capsys.readouterr().err
    same = [*places[:4], "--test-manifest", places[1], "--test-store", places[3]]
    assert main([*same, "--out", str(tmp_path), "--target", "lesion", "--shots", "0", named[0]]) == 2
    assert "20 subjects are in more than one split" in capsys.readouterr().err
    assert main(command(made, tmp_path, named[0], named[0])) == 2
    assert "two models are called 'latent'" in capsys.readouterr().err
    assert main(command(made, tmp_path, named[0], "--shots", "40")) == 2
    assert "40 shots are asked for, but class '0' has 4 rows" in capsys.readouterr().err
    assert main(command(made, tmp_path, named[0], "--shots", "40", "--across-sequences")) == 2
    assert "40 shots are asked for, but class '0' has 8 rows" in capsys.readouterr().err
    assert main(command(made, tmp_path, named[0], "--shots", "3")) == 2
    assert main([*command(made, tmp_path, named[0]), "--target", "lesions"]) == 2
    assert "nearest: lesion" in capsys.readouterr().err
    with (folder / "test" / "manifest.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 24
